import { isAbsolute, resolve } from "node:path";

import { Failure } from "../../core/failure.ts";
import { hasCode } from "../../lib/has-code.ts";
import { writeNewFile } from "../../lib/write-new-file.ts";
import type { CommandHandler } from "../command-spec.ts";
import { time } from "../format.ts";
import { announceEngine, notice, outputFormat, printResult, table } from "../output.ts";
import { noFolder } from "./no-folder.ts";

/** `server audit`: who did what, newest first. */
export const showAudit: CommandHandler = async (input, { io, wiring }) => {
  const admin = await wiring.serverAdmin();
  const entries = await admin.audit({ limit: input.number("limit") ?? 100 });
  await printResult(io, outputFormat(input), entries, (found) =>
    found.length === 0
      ? "No entries found\n"
      : table(io.stdout, {
          head: ["Time", "Who", "From", "What", "On", "Result"],
          rows: found.map(({ at, who, from, what, on, result }) => [time(at), who, from, what, on, result]),
        }),
  );
  return 0;
};

/** `server backup FILE`: a file that is not there yet, on the machine of the command. */
export const backUp: CommandHandler = async (input, { io, wiring }) => {
  const file = resolve(io.workingFolder, input.required("FILE"));
  await announceEngine(io, wiring);
  const admin = await wiring.serverAdmin();
  try {
    await writeNewFile(file, admin.backup());
  } catch (error) {
    throw fileFailure(file, error);
  }
  notice(
    io,
    "info",
    "It holds deployments, runs, jobs, cronjobs, tokens (their hashes) and secrets (sealed). Keep apart from it what opens and completes it:",
    [
      "the master key of the secrets, without which they are lost",
      "settings.yaml, and the outputs of stages (the folder artifacts in the home folder)",
    ],
  );
  await printResult(io, outputFormat(input), { file }, () => `Backed up to ${file}\n`);
  return 0;
};

/** `server restore FILE`: the server is stopped for it, once it is known that this can be done; services live on. */
export const restore: CommandHandler = async (input, { io, wiring }) => {
  const given = input.required("FILE");
  const file = isAbsolute(given) ? given : resolve(io.workingFolder, given);
  const machine = await wiring.serverMachine();
  const { missingKeys } = await machine.inspectBackup(file);
  if (missingKeys.length > 0) {
    notice(
      io,
      "warning",
      `The secrets in ${file} can't be read here: they were sealed with the master key ${missingKeys.join(", ")}, which this command does not find.`,
      missingKeys.map((id) => `Bring that key back too: as keys/master.key.${id} in the home folder.`),
    );
  }
  if (!input.flag("yes")) {
    const question = `Stop the server and replace its store by ${file}? [y/N] `;
    if (!io.canAsk) {
      throw new Failure("usage", "Restoring a store replaces all that was recorded since.", {
        hint: "Say that it is meant: --yes",
      });
    }
    if (!/^y(es)?$/i.test((await io.ask(question)) ?? "")) return 1;
  }
  await (await wiring.serverControl()).stop({ services: false });
  const { replaced } = await machine.restore(file);
  if (replaced !== undefined) notice(io, "info", `The store as it was is kept in ${replaced}`);
  notice(io, "info", "Go on with: bodywork server start");
  await printResult(io, outputFormat(input), { file, replaced }, () => `Restored from ${file}\n`);
  return 0;
};

/** `server rotate-key`. */
export const rotateKey: CommandHandler = async (input, { io, wiring }) => {
  await announceEngine(io, wiring);
  const rotated = await (await wiring.serverAdmin()).rotateKey();
  await printResult(
    io,
    outputFormat(input),
    rotated,
    ({ secrets }) => `Sealed ${secrets} version${secrets === 1 ? "" : "s"} of secrets with a new key.\n`,
  );
  notice(
    io,
    "info",
    `The former key is kept in ${rotated.formerKeyFile}, for backups from before. Remove it when you have none.`,
  );
  return 0;
};

function fileFailure(file: string, error: unknown): unknown {
  if (hasCode(error, "EEXIST")) {
    return new Failure("already-exists", `There is a file ${file} already.`, {
      hint: "Choose another name.",
    });
  }
  if (hasCode(error, "ENOSPC", "EDQUOT")) {
    return new Failure("disk-full", `Cannot write ${file}: the disk is full.`, { cause: error });
  }
  if (hasCode(error, "ENOENT", "ENOTDIR")) return noFolder(file, error);
  if (hasCode(error, "EACCES", "EROFS", "EISDIR")) {
    return new Failure("usage", `Cannot write ${file}: ${(error as NodeJS.ErrnoException).code}.`, {
      cause: error,
    });
  }
  return error;
}
