import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Address, createAddresses } from "../../../../src/engines/local/addresses.ts";
import { listeningSockets } from "../../../../src/engines/local/listening-sockets.ts";
import { writeHosts, writePrivateHosts } from "../../../../src/engines/local/name-hook/hosts-file.ts";
import {
  privateHostsAllowed,
  privateHostsPrefix,
} from "../../../../src/engines/local/name-hook/private-hosts.ts";
import { eventually } from "../../../support/bodywork.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { hookedEnvironment } from "./support/environment.ts";
import { answering, hookForTest, outputOf, startProgram, textAt, unusedPort } from "./support/programs.ts";

let python: string;
beforeAll(async () => {
  ({ python } = await hookedEnvironment([]));
}, 300_000);

const privateHosts = await privateHostsAllowed();

describe("the children of a stage", () => {
  test.each([
    ["started by subprocess", "subprocess"],
    ["in isolated mode", "isolated"],
    ["forked by multiprocessing", "fork"],
    ["spawned by multiprocessing", "spawn"],
    ["of the fork server", "forkserver"],
    ["forked by os.fork", "os_fork"],
    ["started by a shell", "shell"],
  ])("that are Python and %s see the names", async (_, how) => {
    const { address, hook } = await liveService("found");
    const output = await outputOf(
      [python, "children.py", how, "stage-4", String(address.port)],
      hook.variables(),
    );
    expect(output).toBe("found\n");
  });

  test("that are started with an empty environment do not", async () => {
    const { address, hook } = await liveService("found");
    const command = [
      python,
      "children.py",
      "empty_environment",
      "stage-4.ns.svc.cluster.local",
      String(address.port),
    ];
    expect(await outputOf(command, hook.variables())).toBe("nothing\n");
  });

  test("share the address of the stage that serves with them", async () => {
    const port = await unusedPort();
    const address = await (await createAddresses()).choose(port, new Set());
    const bind = [{ port, address: address.host, addressPort: address.port }];
    const program = startProgram([python, "forking_server.py", String(port)], hookForTest().variables(bind));
    const answers = await eventually(async () => {
      const texts = await Promise.all(Array.from({ length: 8 }, () => textAt(address)));
      return new Set(texts).size > 1 && texts;
    });
    expect(new Set(answers).size).toBeGreaterThan(1);
    const sockets = await listeningSockets(program.pids());
    expect(new Set(sockets.map(({ host }) => host))).toEqual(new Set([address.host]));
  });
});

describe("a program that is not Python", () => {
  const skipped = privateHosts ? "" : " (skipped: only Linux as root may mount a private hosts file)";

  test.skipIf(!privateHosts)(`sees the names in its own /etc/hosts${skipped}`, async () => {
    const { address, file } = await privateHostsFile();
    const curl = [
      ...privateHostsPrefix(file),
      "curl",
      "-sS",
      "--noproxy",
      "*",
      `http://stage-4:${address.port}/`,
    ];
    expect(await outputOf(curl)).toBe("found");
    const hosts = await outputOf([...privateHostsPrefix(file), "getent", "hosts", "stage-4.ns"]);
    expect(hosts).toContain(address.host);
  });

  test.skipIf(!privateHosts)(`keeps the machine's own names beside them${skipped}`, async () => {
    const { file } = await privateHostsFile();
    expect(await outputOf([...privateHostsPrefix(file), "cat", "/etc/hosts"])).toBe(
      (await outputOf(["cat", file])) as string,
    );
    expect(await outputOf([...privateHostsPrefix(file), "getent", "hosts", "localhost"])).toMatch(
      /localhost/,
    );
  });

  test.skipIf(!privateHosts)(
    `sees a change while it runs, and the machine's file stays as it is${skipped}`,
    async () => {
      const { address, file } = await privateHostsFile([]);
      const before = await outputOf(["cat", "/etc/hosts"]);
      const program = startProgram(
        [...privateHostsPrefix(file), "sh", "-c", "until getent hosts stage-4; do sleep 0.05; done"],
        {},
      );
      const { ino } = statSync(file);
      await eventually(async () => program.pids().length > 0);
      writePrivateHosts(file, [{ address: address.host, names: ["stage-4"] }]);
      expect(await program.ended).toBe(0);
      expect(statSync(file).ino).toBe(ino);
      expect(await outputOf(["cat", "/etc/hosts"])).toBe(before);
    },
  );

  test.skipIf(!privateHosts)(`would not see a change that replaced its hosts file${skipped}`, async () => {
    const { address, file } = await privateHostsFile([]);
    const go = join(temporaryFolder(), "go");
    const script = `until [ -e ${go} ]; do sleep 0.02; done; cat /etc/hosts`;
    const program = startProgram([...privateHostsPrefix(file), "sh", "-c", `echo mounted; ${script}`], {});
    await eventually(async () => program.output().includes("mounted"));
    writeHosts(file, [{ address: address.host, names: ["stage-4"] }]);
    writeFileSync(go, "");
    expect(await program.ended).toBe(0);
    expect(program.output()).not.toContain("stage-4");
  });

  test.skipIf(!privateHosts)(`keeps the process id that it was started with${skipped}`, async () => {
    const { file } = await privateHostsFile();
    const command = [
      "sh",
      "-c",
      'echo $$; exec "$@"',
      "sh",
      ...privateHostsPrefix(file),
      "sh",
      "-c",
      "echo $$",
    ];
    const [outer, inner] = (await outputOf(command)).trim().split("\n");
    expect(inner).toBe(outer);
  });

  test.skipIf(!privateHosts)(`runs without the names when its hosts file is gone${skipped}`, async () => {
    const gone = join(temporaryFolder(), "gone");
    const program = startProgram([...privateHostsPrefix(gone), "echo", "still here"], {});
    expect(await program.ended).toBe(0);
    expect(program.output()).toContain("bodywork: could not mount the private hosts file");
    expect(program.output()).toContain("still here\n");
  });

  test("does not know the names without it", async () => {
    const { address, hook } = await liveService("found");
    const program = startProgram(
      ["curl", "-sS", "--noproxy", "*", `http://stage-4.ns.svc.cluster.local:${address.port}/`],
      hook.variables(),
    );
    expect(await program.ended).toBe(6);
  });
});

async function liveService(
  text: string,
): Promise<{ address: Address; hook: ReturnType<typeof hookForTest> }> {
  const address = await (await createAddresses()).choose(await unusedPort(), new Set());
  await answering(text, address);
  const hook = hookForTest();
  writeHosts(hook.hostsFile, [entry(address)]);
  return { address, hook };
}

async function privateHostsFile(entries?: readonly []): Promise<{ address: Address; file: string }> {
  const { address } = await liveService("found");
  const file = join(temporaryFolder(), "hosts");
  writePrivateHosts(file, entries ?? [entry(address)]);
  return { address, file };
}

function entry(address: Address) {
  return { address: address.host, names: ["stage-4", "stage-4.ns", "stage-4.ns.svc.cluster.local"] };
}
