import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { type Bodywork, bodyworkOf, type Finished, stopAll } from "../../support/bodywork.ts";

/** A machine whose server others use; it outlives a test, and so do its clients. */
export interface ServingMachine {
  /** The tool on the machine itself. */
  readonly tool: Bodywork;
  /** Where others reach it; the same after it has been started again. */
  readonly url: string;
  /** Folder for what a test needs beside it. */
  readonly folder: string;
  /** Makes an access token, by the command. */
  token(...options: readonly string[]): Promise<string>;
  /** The tool on another machine, that is to say with another home folder, which is not there yet. */
  client(variables?: Readonly<Record<string, string>>, program?: string): Bodywork;
  /** Ends the server and all it looks after, and removes all. */
  remove(): Promise<void>;
}

/** Starts it; `api` are its settings of that name, below its home folder. */
export async function servingMachine(
  api: Readonly<Record<string, string>> = {},
  prepare: (home: string) => void = () => {},
): Promise<ServingMachine> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "machine-")));
  const tool = bodyworkOf(join(folder, "home"));
  mkdirSync(tool.home, { mode: 0o700 });
  prepare(tool.home);
  const settings = (listen: string): void =>
    writeFileSync(
      join(tool.home, "settings.yaml"),
      JSON.stringify({ api: { listen, ...api }, jobs: { retry_delay_seconds: 0 } }),
    );
  settings("127.0.0.1:0");
  const { publicApi = "" } = JSON.parse((await done(tool.run("server", "start", "--output", "json"))).stdout);
  settings(new URL(publicApi).host);
  let clients = 0;
  return {
    tool,
    url: publicApi,
    folder,
    async token(...options) {
      return (await done(tool.run("server", "token", "create", ...options))).stdout.trim();
    },
    client(variables = {}, program) {
      // Empty: the suite's own choice of an engine is not that of another machine.
      return bodyworkOf(
        join(folder, `elsewhere-${clients++}`),
        { BODYWORK_ENGINE: "", ...variables },
        program,
      );
    },
    async remove() {
      await stopAll(tool);
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** What a command printed that is to succeed. */
export async function done(running: Promise<Finished>): Promise<Finished> {
  const finished = await running;
  expect(finished.exitCode, finished.stdout + finished.stderr).toBe(0);
  return finished;
}

/** What a tool has left on its machine. */
export function left({ home }: Bodywork): readonly string[] {
  return existsSync(home) ? readdirSync(home) : [];
}
