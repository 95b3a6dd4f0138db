import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../../../lib/run-command.ts";

const systemPath = "/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * What to put before a stage's argv so that it sees `file` as /etc/hosts: for programs that know nothing of the hook.
 * Each part replaces the one before by exec, so the process id stays that of the program. When the mount fails after
 * all, the program runs without it.
 * @param file written by `writePrivateHosts`, which must go on to write it in place
 */
export function privateHostsPrefix(file: string): readonly string[] {
  const mount = 'PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin mount --bind "$0" /etc/hosts';
  const complaint = 'echo "bodywork: could not mount the private hosts file" >&2';
  return [
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    `${mount} || ${complaint}; exec "$@"`,
    file,
  ];
}

/**
 * Whether a stage may have a hosts file of its own: Linux, root, and a mount that was tried and seen. Without root it
 * would take a user namespace, in which the stage's own id and its files' owners look changed: that is never done.
 * Asks once a process.
 */
export function privateHostsAllowed(): Promise<boolean> {
  probe ??= tryPrivateHosts();
  return probe;
}

let probe: Promise<boolean> | undefined;

async function tryPrivateHosts(): Promise<boolean> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const folder = mkdtempSync(join(tmpdir(), "bodywork-hosts-"));
  try {
    const file = join(folder, "hosts");
    const mark = `127.0.0.1 ${folder.slice(-6).toLowerCase()}.bodywork-probe\n`;
    writeFileSync(file, mark);
    const [program, ...args] = [...privateHostsPrefix(file), "cat", "/etc/hosts"];
    const result = await runCommand(program as string, args, { env: { PATH: systemPath }, timeout: 5000 });
    return result.exitCode === 0 && result.stdout === mark;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
