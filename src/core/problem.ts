import type { Problem } from "./project.ts";
import type { Place } from "./yaml/problem.ts";

export function problem(
  severity: Problem["severity"],
  code: string,
  path: string,
  message: string,
  place: Place | undefined,
): Problem {
  return { severity, code, path, message, line: place?.line, column: place?.column };
}
