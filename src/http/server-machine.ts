import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import { Failure } from "../core/failure.ts";
import type { ApiSettings } from "../core/settings.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { hasCode } from "../lib/has-code.ts";
import { tryLock } from "../lib/process-lock.ts";
import type { InstalledUnit, ServerMachine, WantedUnit } from "../operations/server-admin.ts";
import { prepareHome } from "./prepare-home.ts";
import { checkApiSettings } from "./public-listener.ts";
import { unitName, unitText } from "./systemd-unit.ts";

export interface ServerMachineParts {
  readonly home: string;
  /** Program and arguments that are `bodywork server run`. */
  readonly command: readonly string[];
  /** As of `UnitParts`. */
  readonly path: string;
  /** Folder of the units: `~/.config/systemd/user`, `/etc/systemd/system`. */
  readonly unitFolder: Readonly<Record<"user" | "system", string>>;
  readonly api: () => Promise<ApiSettings>;
  /** As `ServerMachine.inspectBackup`; the home folder is there. */
  readonly inspectBackup: ServerMachine["inspectBackup"];
  /** Puts a backup in the place of the store; returns where that is kept. Fails: not-found, store-damaged. */
  readonly restoreStore: (backup: string) => Promise<string | undefined>;
}

/** This machine, as far as the server of a home folder goes. */
export function createServerMachine(parts: ServerMachineParts): ServerMachine {
  const { home } = parts;
  return {
    async installUnit(wanted) {
      const { listenApi } = wanted;
      if (listenApi !== undefined) checkApiSettings({ ...(await parts.api()), listen: listenApi });
      prepareHome(home);
      const { scope } = wanted;
      const command = listenApi === undefined ? parts.command : [...parts.command, "--listen-api", listenApi];
      const text = unitText({ scope, command, home, path: parts.path, user: statSync(home).uid });
      return writeUnit(join(parts.unitFolder[scope], unitName), text, wanted);
    },
    async inspectBackup(backup) {
      prepareHome(home);
      return parts.inspectBackup(backup);
    },
    async restore(backup) {
      prepareHome(home);
      const lock = tryLock(join(home, "server.lock"));
      if (lock === undefined) {
        throw new Failure("already-exists", "A server runs again: the store is in use.", {
          hint: "Stop what starts it (systemctl stop bodywork), and try again.",
        });
      }
      try {
        return { replaced: await parts.restoreStore(backup) };
      } finally {
        lock.release();
      }
    },
  };
}

function writeUnit(file: string, text: string, { force, printOnly }: WantedUnit): InstalledUnit {
  if (printOnly) return { file, text, written: false };
  try {
    const before = readIfThere(file);
    if (before === text) return { file, text, written: false };
    if (before !== undefined && !force) {
      throw new Failure("already-exists", `There is another unit in ${file}.`, {
        hint: "Look at it, then replace it with: --force",
      });
    }
    writeFileAtomic(file, text, 0o644);
    return { file, text, written: true };
  } catch (error) {
    if (!hasCode(error, "EACCES") && !hasCode(error, "EROFS")) throw error;
    throw new Failure("not-allowed", `Cannot write ${file}: it takes another user's rights.`, {
      hint: "Leave out --system for a unit of your own, or pass it on: bodywork server install --system --print",
      cause: error,
    });
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}
