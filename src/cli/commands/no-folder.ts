import { dirname } from "node:path";

import { Failure } from "../../core/failure.ts";

/** Of a file to write (absolute): its folder is not made, for a slip of the pen would put the file where nobody looks. */
export function noFolder(file: string, cause?: unknown): Failure {
  return new Failure("usage", `Cannot write ${file}: there is no folder ${dirname(file)}.`, {
    hint: "Make it, or choose another one.",
    cause,
  });
}
