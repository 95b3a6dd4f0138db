import { closeSync, ftruncateSync, openSync, statSync, writeSync } from "node:fs";
import { writeFileAtomic } from "../../../lib/files.ts";
import { textIfThere } from "../../../lib/read-if-there.ts";

/** A service that is alive: its stable address and all the names that lead to it. */
export interface HostsEntry {
  readonly address: string;
  /** Such as `stage-4`, `stage-4.ns`, `stage-4.ns.svc.cluster.local`; the first is the one shown. */
  readonly names: readonly string[];
  /** Port the clients name → port it has in truth, where these differ. */
  readonly ports?: Readonly<Record<number, number>>;
}

/** The hosts file, hosts(5), one line a service in the order given; ends with a newline unless it is empty. */
export function renderHosts(entries: readonly HostsEntry[]): string {
  return entries
    .filter((entry) => entry.names.length > 0)
    .map((entry) => {
      const moved = Object.entries(entry.ports ?? {}).filter(([port, to]) => Number(port) !== to);
      const comment = moved.length === 0 ? "" : ` # ports ${moved.map((pair) => pair.join("=")).join(",")}`;
      return `${entry.address} ${entry.names.join(" ")}${comment}\n`;
    })
    .join("");
}

/** Replaces the file that BODYWORK_HOSTS names; running processes see it at their next look-up. */
export function writeHosts(file: string, entries: readonly HostsEntry[]): void {
  const content = renderHosts(entries);
  if (textIfThere(file) !== content) writeFileAtomic(file, content, 0o644);
}

/**
 * Writes the file that stages see as /etc/hosts (private-hosts.ts): our services, then what the machine's own file
 * says. It is changed in place, because a mounted file stays the inode that it was; the content comes in one write, so
 * that a reader never sees half a line.
 * @param machineHosts the machine's file; left out when it can't be read
 */
export function writePrivateHosts(
  file: string,
  entries: readonly HostsEntry[],
  machineHosts = "/etc/hosts",
): void {
  const content = Buffer.from(`${renderHosts(entries)}${textIfThere(machineHosts) ?? ""}`);
  const before = sizeOf(file);
  if (before === undefined) {
    writeFileAtomic(file, content, 0o644);
    return;
  }
  if (content.equals(Buffer.from(textIfThere(file) ?? ""))) return;
  const opened = openSync(file, "r+");
  try {
    // Blank lines cover what is left of a longer text until the file is cut.
    writeSync(
      opened,
      Buffer.concat([content, Buffer.alloc(Math.max(0, before - content.length), "\n")]),
      0,
      null,
      0,
    );
    ftruncateSync(opened, content.length);
  } finally {
    closeSync(opened);
  }
}

function sizeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.size;
}
