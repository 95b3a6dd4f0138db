import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { createUvEnvironments } from "../../../src/environments/uv-environments.ts";
import { runCommand } from "../../../src/lib/run-command.ts";
import type { Environment, EnvironmentRequest, Environments } from "../../../src/ports/environments.ts";
import { type Program, startProgram } from "../../lib/support/programs.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const path = (process.env.PATH ?? "").split(delimiter);

/** Tests that need uv say so when it is not on PATH; the project's set-up puts it there. */
export const hasUv = path.some((folder) => existsSync(join(folder, "uv")));
export const pathWithoutUv = path.filter((folder) => !existsSync(join(folder, "uv"))).join(delimiter);

/** A machine with a home of its own, which takes packages from one folder and nowhere else. */
export interface Machine {
  readonly folder: string;
  /** Where wheels and source distributions are put. */
  readonly packages: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly environments: Environments;
  /** Another tool on the same machine and in the same folder, with other variables. */
  readonly withVariables: (variables: Readonly<Record<string, string>>) => Environments;
}

export const startupPth = "import sys; sys.started_by = 'bodywork'\n";

export function aMachine(variables: Readonly<Record<string, string>> = {}): Machine {
  const top = temporaryFolder("machine");
  const [folder, packages, home] = [join(top, "environments"), join(top, "packages"), join(top, "home")];
  for (const made of [packages, home]) mkdirSync(made);
  const all = {
    PATH: process.env.PATH ?? "",
    HOME: home,
    PIP_NO_INDEX: "1",
    PIP_FIND_LINKS: packages,
    UV_PYTHON_DOWNLOADS: "never",
    ...variables,
  };
  const withVariables = (more: Readonly<Record<string, string>>): Environments =>
    createUvEnvironments({
      folder,
      toolsFolder: join(top, "tools"),
      environment: { ...all, ...more },
      startupPth,
    });
  onTestFinished(() => settled(folder));
  return { folder, packages, variables: all, environments: withVariables({}), withVariables };
}

export function request(
  requirements: readonly string[],
  more: Partial<EnvironmentRequest> = {},
): EnvironmentRequest {
  return { requirements, requirementsFile: undefined, python: undefined, notebook: false, ...more };
}

/** What Python code prints in an environment. */
export async function python(environment: Environment, code: string): Promise<string> {
  const result = await runCommand(environment.python, ["-c", code], { env: {}, cwd: "/" });
  if (result.exitCode !== 0) throw new Error(result.startError ?? result.stderr);
  return result.stdout.trim();
}

/** Prepares an environment for the requirement in a process of its own, on the same machine. */
export function startBuilding(machine: Machine, requirement: string): Program {
  const code = `
    const { createUvEnvironments } = await src("environments/uv-environments.ts");
    const options = JSON.parse(process.argv[1]);
    const environments = createUvEnvironments(options);
    console.log("ready");
    const onOutput = (text) => console.log(text);
    const request = { requirements: [process.argv[2]], requirementsFile: undefined, python: undefined, notebook: false };
    const { built } = await environments.prepare(request, { onOutput });
    console.log("built:" + built);`;
  const options = {
    folder: machine.folder,
    toolsFolder: join(machine.folder, "../tools"),
    environment: machine.variables,
    startupPth,
  };
  return startProgram(code, [JSON.stringify(options), requirement]);
}

/** Waits until nothing compiles in the environments any more. */
export async function settled(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  const unsettled = (): readonly string[] =>
    keysIn(folder).filter((key) => !existsSync(join(folder, key, "settled.json")));
  for (let round = 0; unsettled().length > 0 && round < 400; round += 1) await sleep(50);
}

export function keysIn(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => /^[0-9a-f]{64}$/.test(name));
}

/** A package index (PEP 503) of the files in a folder, which asks for a name and a password; its URL with both. */
export async function privateIndex(packages: string, user: string, password: string): Promise<string> {
  const expected = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const server = createServer((request, response) => {
    const [, kind, name = ""] = (request.url ?? "").split("/");
    if (request.headers.authorization !== expected) return response.writeHead(401).end();
    if (kind === "files") return response.end(readFileSync(join(packages, basename(name))));
    const files = readdirSync(packages).filter((file) => file.startsWith(`${name.replaceAll("-", "_")}-`));
    if (files.length === 0) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": "text/html" });
    return response.end(files.map((file) => `<a href="/files/${file}">${file}</a>\n`).join(""));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return `http://${user}:${password}@127.0.0.1:${port}/simple/`;
}
