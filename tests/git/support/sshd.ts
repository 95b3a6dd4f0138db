import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";

import { runCommand } from "../../../src/lib/run-command.ts";
import { temporaryFolder } from "../../support/temporary.ts";

export interface SshServer {
  /** `ssh://USER@ADDRESS:PORT` */
  readonly address: string;
  readonly host: string;
  /** Path of a private key that it accepts. */
  readonly key: string;
  /** Path of one that it does not. */
  readonly otherKey: string;
  readonly fingerprint: string;
  /** A line for a `known_hosts` file. */
  readonly knownHostsLine: string;
  /** Shows another host key from now on. */
  changeHostKey(): Promise<void>;
}

/** The OpenSSH server of this machine, when it can be started by this user. */
export const sshdPath = findSshd();

function findSshd(): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];
  const path = folders.map((folder) => join(folder, "sshd")).find((file) => existsSync(file));
  if (path === undefined) return undefined;
  const tried = spawnSync(path, ["-V"], { encoding: "utf8" });
  return /OpenSSH/.test(`${tried.stdout}${tried.stderr}`) ? path : undefined;
}

/** A real SSH server on an address of this machine; it ends with the test. */
export async function startSshServer(listenOn = "127.0.0.1"): Promise<SshServer> {
  const root = temporaryFolder("sshd");
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  for (const name of ["key", "otherKey", "host", "otherHost"]) {
    await keygen("-q", "-t", "ed25519", "-N", "", "-f", join(root, name));
  }
  writeFileSync(join(root, "authorized_keys"), readFileSync(join(root, "key.pub")), { mode: 0o600 });
  const port = await freePort(listenOn);
  let child = await start(root, listenOn, port, "host");
  onTestFinished(() => stop(child));
  const publicKey = readFileSync(join(root, "host.pub"), "utf8").split(" ").slice(0, 2).join(" ");
  const [, fingerprint = ""] = (await keygen("-l", "-f", join(root, "host.pub"))).split(" ");
  return {
    address: `ssh://${userInfo().username}@${listenOn}:${port}`,
    host: listenOn,
    key: join(root, "key"),
    otherKey: join(root, "otherKey"),
    fingerprint,
    knownHostsLine: `[${listenOn}]:${port} ${publicKey}`,
    changeHostKey: async () => {
      await stop(child);
      child = await start(root, listenOn, port, "otherHost");
    },
  };
}

async function keygen(...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runCommand("ssh-keygen", args, {
    env: { PATH: process.env.PATH ?? "" },
  });
  if (exitCode !== 0) throw new Error(`ssh-keygen failed: ${stderr}`);
  return stdout;
}

async function start(root: string, address: string, port: number, hostKey: string): Promise<ChildProcess> {
  const config = join(root, "sshd_config");
  writeFileSync(
    config,
    [
      `Port ${port}`,
      `ListenAddress ${address}`,
      `HostKey ${join(root, hostKey)}`,
      `AuthorizedKeysFile ${join(root, "authorized_keys")}`,
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin prohibit-password",
      "StrictModes no",
      "UsePAM no",
      "PidFile none",
      "",
    ].join("\n"),
  );
  const child = spawn(sshdPath ?? "sshd", ["-D", "-e", "-f", config], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  await vi.waitFor(() => {
    if (!log.includes("Server listening")) throw new Error(`sshd does not listen: ${log}`);
  });
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill();
  await ended;
}

async function freePort(listenOn: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, listenOn, resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
