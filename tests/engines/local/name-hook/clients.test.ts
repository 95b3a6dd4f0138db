import { beforeAll, describe, expect, test } from "vitest";
import { createAddresses } from "../../../../src/engines/local/addresses.ts";
import { writeHosts } from "../../../../src/engines/local/name-hook/hosts-file.ts";
import type { Environment } from "../../../../src/ports/environments.ts";
import { eventually } from "../../../support/bodywork.ts";
import { hookedEnvironment, serversAndClients } from "./support/environment.ts";
import { answering, hookForTest, outputOf, startProgram, unusedPort } from "./support/programs.ts";

let environment: Environment;
beforeAll(async () => {
  environment = await hookedEnvironment(serversAndClients);
}, 300_000);

/** Name → client → what it got; a client's error begins with `error: `. */
type Answers = Readonly<Record<string, Readonly<Record<string, string>>>>;

describe("every Python client", () => {
  test("reaches a live service by its short and its long names, and no other", async () => {
    const port = await unusedPort();
    const address = await (await createAddresses()).choose(port, new Set());
    await answering("hello from stage 4", address);
    const hook = hookForTest();
    const names = ["stage-4", "stage-4.ns", "stage-4.ns.svc.cluster.local"];
    writeHosts(hook.hostsFile, [{ address: address.host, names, ports: { [port]: port } }]);

    const missing = ["stage-9", "stage-9.ns", "stage-9.ns.svc.cluster.local"];
    const answers = await ask(port, [...names, "Stage-4.NS.", ...missing], hook.variables());
    for (const name of [...names, "Stage-4.NS."]) {
      expect(different(answers, name, "hello from stage 4")).toEqual({});
    }
    for (const name of missing) {
      expect(Object.values(answers[name] ?? {}).filter((text) => !text.startsWith("error: "))).toEqual([]);
    }
    expect(Object.keys(answers["stage-4"] ?? {}).length).toBeGreaterThan(25);
  }, 120_000);

  test("reaches a service whose port was moved, by the port that it names", async () => {
    const [port, moved] = [await unusedPort(), await unusedPort()];
    await answering("moved", { host: "127.0.0.1", port: moved });
    const hook = hookForTest();
    writeHosts(hook.hostsFile, [{ address: "127.0.0.1", names: ["stage-4"], ports: { [port]: moved } }]);
    const answers = await ask(port, ["stage-4"], hook.variables());
    const failed = Object.keys(different(answers, "stage-4", "moved"));
    expect(failed.filter((client) => !addressOnly.has(client))).toEqual([]);
  }, 120_000);

  test("reaches nothing when the hook is off", async () => {
    const port = await unusedPort();
    const answers = await ask(port, ["stage-4.ns.svc.cluster.local"], {});
    const all = Object.values(answers["stage-4.ns.svc.cluster.local"] ?? {});
    expect(all.filter((text) => !text.startsWith("error: "))).toEqual([]);
  }, 120_000);
});

test("A running process sees a service come, move and go", async () => {
  const port = await unusedPort();
  const addresses = await createAddresses();
  const first = await addresses.choose(port, new Set());
  const second = await addresses.choose(port, new Set([first.host]));
  await answering("first", first);
  await answering("second", second);
  const hook = hookForTest();
  const program = startProgram(
    [environment.python, "-u", "watch_name.py", "stage-4", String(port)],
    hook.variables(),
  );
  const lastLine = (): string | undefined => program.output().trimEnd().split("\n").at(-1);
  const sees = (text: string): Promise<boolean> => eventually(async () => lastLine() === text);
  await sees("nothing");
  writeHosts(hook.hostsFile, [{ address: first.host, names: ["stage-4"] }]);
  await sees("first");
  writeHosts(hook.hostsFile, [{ address: second.host, names: ["stage-4"] }]);
  await sees("second");
  writeHosts(hook.hostsFile, []);
  await sees("nothing");
});

/** These ask for an address and bring their own port to it: a known limit where there is one loopback address only. */
const addressOnly: ReadonlySet<string> = new Set([
  ...["gethostbyname", "gethostbyname_ex", "no_port", "httpx_async", "httpx_async_uvloop"],
]);

async function ask(
  port: number,
  names: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<Answers> {
  const command = [environment.python, "clients.py", String(port), ...names];
  return JSON.parse(await outputOf(command, variables)) as Answers;
}

function different(answers: Answers, name: string, wanted: string): Record<string, string> {
  const found = answers[name];
  if (found === undefined) throw new Error(`no answers for ${name}`);
  return Object.fromEntries(Object.entries(found).filter(([, text]) => text !== wanted));
}
