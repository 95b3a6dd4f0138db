import { join } from "node:path";
import { spawnDetached } from "../lib/spawn-detached.ts";

/** Written into an environment when its bytecode is compiled and all of it is on the disk. */
export interface Settled {
  /** Of all files. */
  readonly bytes: number;
}

/**
 * Does what a new environment needs but nobody waits for, in one process of the lowest priority that outlives us:
 * compiles the bytecode (importing scikit-learn takes 2.1 s without, 0.9 s with it), puts everything on the disk, counts
 * the bytes. If it fails, or is killed, imports are slower until `prepare` starts it again.
 */
export async function settleEnvironment(options: {
  readonly folder: string;
  readonly python: string;
  readonly logFile: string;
  readonly env: Readonly<Record<string, string>>;
}): Promise<void> {
  await spawnDetached({
    file: options.python,
    args: ["-I", "-S", "-c", script, options.folder],
    env: options.env,
    cwd: "/",
    logFile: options.logFile,
  });
}

/** What settling found; undefined while it has not come to its end. */
export function readSettled(folder: string): Settled | undefined {
  return jsonIfThere<Settled>(join(folder, markerName));
}

const markerName = "settled.json";

const script = `
import os, sys
os.nice(19)
import compileall, json
folder = sys.argv[1]
compileall.compile_dir(os.path.join(folder, "lib"), quiet=2, workers=1)
size = 0
for root, folders, files in os.walk(folder):
    for name in files:
        size += os.lstat(os.path.join(root, name)).st_size
os.sync()
temporary = os.path.join(folder, ".${markerName}")
with open(temporary, "w") as file:
    json.dump({"bytes": size}, file)
    file.flush()
    os.fsync(file.fileno())
os.rename(temporary, os.path.join(folder, "${markerName}"))
`;

import { jsonIfThere } from "../lib/read-if-there.ts";
