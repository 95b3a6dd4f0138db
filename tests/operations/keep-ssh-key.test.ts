import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import { sshKeySecret } from "../../src/core/secret-state.ts";
import { SecretValue } from "../../src/core/secret-value.ts";
import { serverOf, type TestServer, type World, world } from "../support/operations-harness.ts";
import { batch } from "../support/pipelines.ts";
import { project } from "../support/project-text.ts";

const url = "git@forge.test:me/private.git";
const key = new SecretValue("-----BEGIN canary-key-----\nabcdefgh\n-----END canary-key-----\n");
const kept = { sshKey: key, keep: true };

/** A repository that only opens with the key. */
function privateWorld(files = project("a", { a: "batch" })): World {
  const the = world();
  the.source.push(url, files);
  const resolve = the.source.resolve.bind(the.source);
  the.source.resolve = async (request, signal) => {
    const found = await resolve(request, signal);
    if (request.sshKey !== key.reveal()) {
      throw new Failure("repository-access", `Failed to setup SSH for forge.test: ${request.sshKey}`);
    }
    return found;
  };
  the.source.check = () => {};
  return the;
}

function keyOf({ secrets }: World, group: string): string | undefined {
  return secrets.read(group, sshKeySecret.name)?.[sshKeySecret.key]?.reveal();
}

async function deployed(
  server: TestServer,
  ...of: Parameters<TestServer["deploy"]>
): ReturnType<TestServer["finished"]> {
  return server.finished(await server.deploy(...of));
}

test("a key that is to be kept becomes a secret of the deployment's group, and later runs need none", async () => {
  const the = privateWorld();
  const server = serverOf(the);
  expect((await deployed(server, url)).code).toBe("repository-access");
  expect((await deployed(server, url, {}, kept)).status).toBe("succeeded");
  expect(keyOf(the, "story")).toBe(key.reveal());
  expect((await deployed(server, url)).status).toBe("succeeded");
  expect((await deployed(server, url.replace(/\.git$/, ""))).reason, "another address of it").not.toContain(
    "Failed to setup SSH",
  );
});

test("a key is kept in the group that is asked for, and found there by whoever asks for that group", async () => {
  const the = privateWorld();
  const server = serverOf(the);
  await deployed(server, url, { group: "keys" }, kept);
  expect(keyOf(the, "keys")).toBe(key.reveal());
  expect(keyOf(the, "story")).toBeUndefined();
  the.secrets.remove("keys", sshKeySecret.name);
  the.secrets.set("other", sshKeySecret.name, { [sshKeySecret.key]: key.reveal() });
  expect((await deployed(server, url)).status).toBe("failed");
  expect((await deployed(server, url, { group: "other" })).status).toBe("succeeded");
});

test("a key is found too when the run that brought it has failed after the clone", async () => {
  const the = privateWorld();
  the.machine.behaviours.set("a", { does: "fail", reason: "exit 3" });
  const server = serverOf(the);
  expect((await deployed(server, url, {}, kept)).code).toBe("stage-failed");
  expect((await deployed(server, url)).code).toBe("stage-failed");
});

test("a key that is for one run alone is not kept, nor one that does not open the repository", async () => {
  const the = privateWorld();
  const server = serverOf(the);
  expect((await deployed(server, url, {}, { sshKey: key, keep: false })).status).toBe("succeeded");
  const wrong = { sshKey: new SecretValue("wrong key"), keep: true };
  expect((await deployed(server, url, {}, wrong)).status).toBe("failed");
  expect(the.secrets.secrets({})).toEqual([]);
});

test("a key that is kept already makes no new version, another one does", async () => {
  const the = privateWorld();
  const server = serverOf(the);
  const version = (): number | undefined => the.secrets.secrets({ name: sshKeySecret.name })[0]?.version;
  the.secrets.set("story", sshKeySecret.name, { [sshKeySecret.key]: "an older key", OTHER: "stays" });
  await deployed(server, url, {}, kept);
  expect(version()).toBe(2);
  await deployed(server, url, {}, kept);
  expect(version()).toBe(2);
  expect(Object.keys(the.secrets.read("story", sshKeySecret.name) ?? {})).toContain("OTHER");
});

test("a key that is kept is for addresses of ssh only", async () => {
  const the = privateWorld();
  const https = "https://forge.test/me/project";
  the.source.push(https, project("a", { a: "batch" }, { name: "other" }));
  the.secrets.set("other", sshKeySecret.name, { [sshKeySecret.key]: "canary" });
  await deployed(serverOf(the), https, { group: "other" });
  expect(the.source.asked.map(({ sshKey }) => sshKey)).toEqual([undefined]);
});

test("no stage gets the key, and no record has it", async () => {
  const the = privateWorld(project("a", { a: batch() }));
  const tasks: unknown[] = [];
  the.machine.behaviours.set("a", (task) => {
    tasks.push(task);
    return { does: "fail", reason: `printed ${key.reveal()}` };
  });
  const server = serverOf(the);
  const run = await deployed(server, url, {}, kept);
  const refused = await deployed(
    server,
    url,
    {},
    { sshKey: new SecretValue("canary-of-another"), keep: true },
  );
  expect(refused.reason).toContain("Failed to setup SSH for forge.test");
  expect(tasks).toHaveLength(1);
  const records = [tasks, run, refused, server.events(run.id), server.events(refused.id)];
  expect(JSON.stringify(records)).not.toContain("canary");
});
