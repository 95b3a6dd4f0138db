import { mkdirSync } from "node:fs";
import { runCommand } from "../lib/run-command.ts";
import type { UvFinder } from "./find-uv.ts";
import { redact } from "./redact.ts";

/**
 * Lets uv fetch a version of Python (`3.11`, `3.11.7`) into `folder`, within two minutes. The reason when it can't be
 * had, undefined when it is there.
 */
export async function fetchPython(
  version: string,
  options: {
    readonly variables: Readonly<Record<string, string>>;
    readonly folder: string;
    readonly uv: UvFinder;
    readonly onLine: (line: string) => void;
    readonly signal: AbortSignal | undefined;
  },
): Promise<string | undefined> {
  const { variables, onLine, signal } = options;
  if (["never", "manual"].includes(variables.UV_PYTHON_DOWNLOADS ?? ""))
    return "UV_PYTHON_DOWNLOADS forbids it";
  if (variables.UV_OFFLINE !== undefined || !/^3\.\d+(\.\d+)?$/.test(version)) return undefined;
  const uv = await options.uv(onLine, signal);
  if (uv.kind === "absent") return "uv, which fetches them, can't be had";
  onLine(`Fetching Python ${version}, which is not on this machine`);
  mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  const result = await runCommand(
    uv.program,
    ["python", "install", version, "--install-dir", options.folder, "--no-bin"],
    {
      env: { UV_HTTP_TIMEOUT: "20", UV_HTTP_RETRIES: "1", ...variables },
      cwd: options.folder,
      timeout: fetchTimeLimit,
      ...(signal === undefined ? {} : { signal }),
    },
  );
  signal?.throwIfAborted();
  if (result.exitCode === 0) return undefined;
  if (result.timedOut) return `not within ${fetchTimeLimit / 1000} s`;
  const causes = result.stderr.split("\n").filter((line) => /^\s*(error|cause|Caused by)/.test(line));
  return redact((causes.at(-1) ?? "uv could not").replace(/^\s*(error|cause|Caused by):\s*/, ""));
}

const fetchTimeLimit = 120_000;
