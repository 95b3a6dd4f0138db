import { cpSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import about from "../../package.json" with { type: "json" };
import { versionHeader } from "../../src/http/version-rule.ts";
import { type Bodywork, bodyworkOf } from "../support/bodywork.ts";
import { makeProject } from "../support/git-project.ts";
import { trainAndServe } from "../support/pipelines.ts";
import { steadyLoad } from "../support/steady-load.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { done, type ServingMachine, servingMachine } from "./support/serving-machine.ts";

let machine: ServingMachine;
/** Programs of other versions, by how they stand to this one. */
let programs: Readonly<Record<"newerPatch" | "newerMinor" | "olderMinor", Copy>>;

interface Copy {
  readonly version: string;
  /** Its `main.ts`. */
  readonly program: string;
}

beforeAll(async () => {
  machine = await servingMachine();
  const [major = 0, minor = 0, patch = 0] = about.version.split(".").map(Number);
  programs = {
    newerPatch: copyOf(`${major}.${minor}.${patch + 1}`, machine.folder),
    newerMinor: copyOf(`${major}.${minor + 1}.0`, machine.folder),
    olderMinor: copyOf(minor > 0 ? `${major}.${minor - 1}.9` : `${major - 1}.9.9`, machine.folder),
  };
  return () => machine.remove();
}, 120_000);

/** This checkout under another version. */
function copyOf(version: string, folder: string): Copy {
  const root = join(import.meta.dirname, "..", "..");
  const copy = join(folder, `bodywork-${version}`);
  cpSync(join(root, "src"), join(copy, "src"), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  writeFileSync(join(copy, "package.json"), JSON.stringify({ ...about, version }));
  return { version, program: join(copy, "src", "main.ts") };
}

async function tokenFor(scope: string): Promise<Readonly<Record<string, string>>> {
  const token = await machine.token("client", "--scope", scope);
  return { BODYWORK_SERVER: machine.url, BODYWORK_TOKEN: token };
}

test("from another machine, a command of the same version but for the last number deploys", async () => {
  const { program, version } = programs.newerPatch;
  const client = machine.client(await tokenFor("deploy"), program);
  expect((await done(client.run("version"))).stdout).toContain(version);
  const project = await makeProject({ files: trainAndServe("one"), path: temporaryFolder("project") });
  const deployed = await done(client.run("create", "deployment", project.url));
  expect(deployed.stdout).toContain("train | trained one");
  expect((await client.server()).version).toBe(about.version);
}, 60_000);

test("from another machine, a command of another version does nothing, and says which of the two to update", async () => {
  const variables = await tokenFor("admin");
  for (const [{ program, version }, hint] of [
    [programs.newerMinor, `Have the server updated to ${minorOf(programs.newerMinor.version)}`],
    [programs.olderMinor, "Update the command: npm install --global bodywork@"],
  ] as const) {
    const client = machine.client(variables, program);
    for (const command of [
      ["get", "deployments"],
      ["delete", "deployment", "story", "--yes"],
      ["logs", "story"],
    ]) {
      const refused = await client.run(...command);
      expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
      expect(refused.stderr).toContain(
        `is of version ${about.version}, and this command of ${version}: they do not work together.`,
      );
      expect(refused.stderr).toContain(hint);
    }
  }
  expect((await machine.tool.service("story", "serve")).state).toBe("serving");
}, 60_000);

test("the server refuses by itself who says to be of another version, before anything is done", async () => {
  const { BODYWORK_TOKEN } = await tokenFor("admin");
  const { version } = programs.newerMinor;
  const ask = (headers: Readonly<Record<string, string>>): Promise<Response> =>
    fetch(`${machine.url}/api/v1/deployments/nowhere`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${BODYWORK_TOKEN}`, ...headers },
    });
  const refused = await ask({ [versionHeader]: version });
  expect(refused.ok).toBe(false);
  expect(await refused.json()).toMatchObject({ error: { code: "version-mismatch" } });
  expect((await ask({ [versionHeader]: about.version })).ok).toBe(true);
});

test("on the machine itself a newer command takes the server's place while services serve on; the older then refuses", async () => {
  const { url = "" } = await machine.tool.service("story", "serve");
  const load = steadyLoad(url, 2, 10);
  const before = await machine.tool.server();
  const newer = here(programs.newerPatch);
  await done(newer.run("create", "secret", "any", "--group", "dev", "--data", "A=b"));
  const after = await newer.server();
  expect(after.version).toBe(programs.newerPatch.version);
  expect(after.pid).not.toBe(before.pid);

  for (const older of [machine.tool, here(programs.olderMinor)]) {
    const refused = await older.run("delete", "deployment", "story", "--yes");
    expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
    expect(refused.stderr).toContain(
      `The server of ${machine.tool.home} is of version ${programs.newerPatch.version}, and this command is the older`,
    );
    expect(refused.stderr).toContain("bodywork server stop");
  }
  expect((await newer.server()).pid).toBe(after.pid);
  const { failures, answers } = await load.stop();
  expect([...failures]).toEqual([]);
  expect([...answers.keys()]).toEqual(["one"]);
  // As the refusal says.
  await done(machine.tool.run("server", "stop"));
  await done(machine.tool.run("server", "start"));
  expect((await machine.tool.server()).version).toBe(about.version);
}, 90_000);

/** A program of another version, on the machine of the server. */
function here({ program }: Copy): Bodywork {
  return bodyworkOf(machine.tool.home, {}, program);
}

function minorOf(version: string): string {
  return version.split(".").slice(0, 2).join(".");
}
