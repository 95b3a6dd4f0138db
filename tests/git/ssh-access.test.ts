import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";

import { fingerprintOf } from "../../src/git/find-host-keys.ts";
import { forgeKnownHosts } from "../../src/git/host-keys.ts";
import { type GitProject, makeProject } from "../support/git-project.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { contentsBelow, failureOf, makeSource, resolve, standIn, textOf } from "./support/source.ts";
import { sshdPath, startSshServer } from "./support/sshd.ts";

async function project(): Promise<GitProject> {
  const made = await makeProject({ files: { "bodywork.yaml": "version: 1\n" } });
  onTestFinished(() => made.remove());
  return made;
}

/** An `ssh` that writes down what it was given and runs the command here. */
function standInSsh(bin: string): { args(): readonly string[]; file(name: string): string; mode(): string } {
  const seen = temporaryFolder("ssh");
  standIn(
    bin,
    "ssh",
    `printf '%s\\n' "$@" > ${seen}/args
for name in key known_hosts; do [ -f $name ] && cp $name ${seen}/; done
[ -f key ] && stat -c %a key > ${seen}/mode
for last in "$@"; do :; done
eval "exec $last"`,
  );
  const file = (name: string): string => readFileSync(join(seen, name), "utf8");
  return { args: () => file("args").trimEnd().split("\n"), file, mode: () => file("mode").trim() };
}

describe("An ssh address", () => {
  it("is reached with the given key only, which lies in a file of its own as long as the call lasts", async () => {
    const { path, git } = await project();
    const { source, folder, bin } = makeSource();
    const ssh = standInSsh(bin);
    const found = await resolve(source, {
      url: `git@forge.example:${path}`,
      sshKey: "-----BEGIN canary-key-----\r\nabc\r\n-----END",
    });
    expect(found).toMatchObject({ hash: await git("rev-parse", "HEAD"), url: `git@forge.example:${path}` });
    expect(ssh.file("key")).toBe("-----BEGIN canary-key-----\nabc\n-----END\n");
    expect(ssh.mode()).toBe("600");
    expect(ssh.args()).toEqual(
      expect.arrayContaining([
        "-oBatchMode=yes",
        "-oStrictHostKeyChecking=yes",
        "-oIdentitiesOnly=yes",
        "git@forge.example",
      ]),
    );
    expect(ssh.args().join("\n")).not.toContain("canary");
    expect([...contentsBelow(folder)].filter(([, text]) => text.includes("canary"))).toEqual([]);
    expect(readdirSync(join(folder, "calls"))).toEqual([]);
  });

  it("uses the user's agent and keys when none is given, and asks nothing", async () => {
    const { path } = await project();
    const { source, bin } = makeSource();
    const ssh = standInSsh(bin);
    for (const sshKey of [undefined, "", "\n"]) {
      await resolve(source, { url: `ssh://me@forge.example:2222${path}`, sshKey });
      expect(ssh.args()).toEqual(
        expect.arrayContaining(["-oBatchMode=yes", "-p", "2222", "me@forge.example"]),
      );
      expect(ssh.args()).not.toContain("-i");
      expect(ssh.args()).not.toContain("-oIdentitiesOnly=yes");
    }
  });

  it("trusts the big forges, the hosts that were accepted, and those the user knows", async () => {
    const { path } = await project();
    const { source, bin, home, folder } = makeSource();
    const ssh = standInSsh(bin);
    mkdirSync(join(home, ".ssh"));
    writeFileSync(join(home, ".ssh", "known_hosts"), "own.example ssh-ed25519 AAAA\n");
    mkdirSync(folder);
    writeFileSync(join(folder, "known_hosts"), "accepted.example ssh-ed25519 AAAA\n");
    await resolve(source, { url: `git@forge.example:${path}` });
    expect(ssh.file("known_hosts").split("\n")).toEqual(
      expect.arrayContaining([
        ...forgeKnownHosts,
        "own.example ssh-ed25519 AAAA",
        "accepted.example ssh-ed25519 AAAA",
      ]),
    );
  });

  it.each([
    [undefined, "Failed to setup SSH for forge.example"],
    ["a key", "did not accept the private key"],
  ])("that is denied says what to do, with the key %j", async (sshKey, text) => {
    const { source, bin } = makeSource();
    standIn(bin, "ssh", 'echo "git@forge.example: Permission denied (publickey)." >&2; exit 255');
    const failure = await failureOf(resolve(source, { url: "git@forge.example:a/b", sshKey }));
    expect(failure.code).toBe("repository-access");
    expect(failure.message).toContain(text);
    expect(failure.details.join()).toContain("Permission denied");
  });

  it.each([
    ["ssh: connect to host forge.example port 22: Connection refused", "repository-unreachable"],
    ["ssh: Could not resolve hostname forge.example: Name or service not known", "repository-unreachable"],
    ["ERROR: Repository not found.", "repository-access"],
    ["GitLab: The project you were looking for could not be found", "repository-access"],
  ])("that answers %j is told as %s", async (words, code) => {
    const { source, bin } = makeSource();
    standIn(bin, "ssh", `echo "${words}" >&2; exit 255`);
    expect(await failureOf(resolve(source, { url: "git@forge.example:a/b" }))).toMatchObject({ code });
  });
});

/** A host that only shows its keys, to the tools of OpenSSH as stand-ins. */
function standInHost(bin: string, keys: readonly string[]): void {
  standIn(
    bin,
    "ssh",
    `[ "$1" = -G ] && { printf 'hostname real.example\\nport 2222\\n'; exit 0; }
for last in "$@"; do :; done
if grep -q '^\\[real.example\\]:2222 ${keys[0]?.slice(0, 40)}' known_hosts; then eval "exec $last"; fi
echo "No ED25519 host key is known for [real.example]:2222 and you have requested strict checking." >&2
echo "Host key verification failed." >&2
exit 255`,
  );
  standIn(
    bin,
    "ssh-keyscan",
    keys
      .map((key) => `[ "$5" = "--" ] && [ "$6" = real.example ] && echo "[real.example]:2222 ${key}"`)
      .join("\n"),
  );
}

describe("A host whose key is not known", () => {
  const ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEuBKrPzbawxA/k2g6NcyV5jmqwJ2s+zpgZGZ7tpLIcN";
  const rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7Hr1oTWqNqOlzGJOfGJ4NakVyIzf1rXYd4d7w";
  const fingerprint = fingerprintOf(ed25519.split(" ")[1] ?? "");

  it.each([undefined, "show"])(
    "is refused with its fingerprints and the option that accepts one (%s)",
    async (acceptHostKey) => {
      const { path } = await project();
      const { source, bin, folder } = makeSource();
      standInHost(bin, [rsa, ed25519]);
      const failure = await failureOf(resolve(source, { url: `git@alias:${path}`, acceptHostKey }));
      expect(failure).toMatchObject({
        code: "host-key",
        hint: expect.stringContaining(`--accept-host-key ${fingerprint}`),
      });
      expect(failure.details).toContain(`${fingerprint} (ssh-ed25519)`);
      expect(failure.details.some((line) => line.includes("(ssh-rsa)"))).toBe(true);
      expect(existsSync(join(folder, "known_hosts"))).toBe(false);
    },
  );

  it("is accepted by its fingerprint, and then known", async () => {
    const { path, git } = await project();
    const { source, bin, folder } = makeSource();
    standInHost(bin, [ed25519, rsa]);
    const hash = await git("rev-parse", "HEAD");
    const url = `git@alias:${path}`;
    expect(await resolve(source, { url, acceptHostKey: fingerprint })).toMatchObject({ hash });
    expect(readFileSync(join(folder, "known_hosts"), "utf8")).toBe(`[real.example]:2222 ${ed25519}\n`);
    expect(await resolve(source, { url })).toMatchObject({ hash });
  });

  it("is refused with an alarm when it shows another fingerprint than the accepted one", async () => {
    const { path } = await project();
    const { source, bin, folder } = makeSource();
    standInHost(bin, [rsa]);
    const failure = await failureOf(
      resolve(source, { url: `git@alias:${path}`, acceptHostKey: fingerprint }),
    );
    expect(failure.code).toBe("host-key");
    expect(failure.message).toContain(
      "SECURITY ALERT! SSH Fingerprint received from server does not match the fingerprint for alias",
    );
    expect(existsSync(join(folder, "known_hosts"))).toBe(false);
  });

  it("and that cannot be asked is refused too", async () => {
    const { source, bin } = makeSource();
    standInHost(bin, []);
    const failure = await failureOf(resolve(source, { url: "git@alias:a/b" }));
    expect(failure).toMatchObject({ code: "host-key", hint: expect.stringContaining("~/.ssh/known_hosts") });
  });
});

function keyOf(file: string): string {
  return readFileSync(file, "utf8");
}

describe.skipIf(sshdPath === undefined)(
  "A real SSH server (skipped when there is no sshd: install openssh-server)",
  () => {
    it("is unknown, is accepted by its fingerprint, and serves the repository to the key", async () => {
      const { path, git } = await project();
      const server = await startSshServer();
      const { source, folder } = makeSource();
      const url = `${server.address}${path}`;
      const unknown = await failureOf(resolve(source, { url, sshKey: keyOf(server.key) }));
      expect(unknown).toMatchObject({ code: "host-key", hint: expect.stringContaining(server.fingerprint) });
      const found = await resolve(source, {
        url,
        sshKey: keyOf(server.key),
        acceptHostKey: server.fingerprint,
      });
      expect(found).toMatchObject({ hash: await git("rev-parse", "HEAD"), branch: "main" });
      expect(readFileSync(join(folder, "known_hosts"), "utf8")).toBe(`${server.knownHostsLine}\n`);
      await resolve(source, { url, sshKey: keyOf(server.key).trim() });
      expect(readdirSync(join(folder, "calls"))).toEqual([]);
    });

    it("that the user knows needs no option, and denies a key that it does not know", async () => {
      const { path } = await project();
      const server = await startSshServer();
      const { source, home } = makeSource();
      mkdirSync(join(home, ".ssh"));
      writeFileSync(join(home, ".ssh", "known_hosts"), `${server.knownHostsLine}\n`);
      const url = `${server.address}${path}`;
      await resolve(source, { url, sshKey: keyOf(server.key) });
      const denied = await failureOf(resolve(source, { url, sshKey: keyOf(server.otherKey) }));
      expect(denied).toMatchObject({ code: "repository-access" });
      const missing = await failureOf(resolve(source, { url: `${url}-not`, sshKey: keyOf(server.key) }));
      expect(missing).toMatchObject({ code: "repository-access" });
    });

    it("that shows another key than before raises the alarm, until the new one is accepted", async () => {
      const { path } = await project();
      const server = await startSshServer();
      const { source } = makeSource();
      const url = `${server.address}${path}`;
      await resolve(source, { url, sshKey: keyOf(server.key), acceptHostKey: server.fingerprint });
      await server.changeHostKey();
      for (const acceptHostKey of [undefined, server.fingerprint]) {
        const failure = await failureOf(resolve(source, { url, sshKey: keyOf(server.key), acceptHostKey }));
        expect(failure.code).toBe("host-key");
        expect(failure.message).toContain(
          "SECURITY ALERT! SSH Fingerprint received from server does not match",
        );
      }
      const failure = await failureOf(resolve(source, { url, sshKey: keyOf(server.key) }));
      const [shown] = /SHA256:[A-Za-z0-9+/]+/.exec(textOf(failure)) ?? [];
      await resolve(source, { url, sshKey: keyOf(server.key), acceptHostKey: shown });
      await resolve(source, { url, sshKey: keyOf(server.key) });
    });
  },
);
