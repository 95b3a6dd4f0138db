import { asFailure, Failure } from "../core/failure.ts";
import { runCommand } from "../lib/run-command.ts";
import type { Clock } from "../ports/clock.ts";
import type { SecretRows, Secrets } from "../ports/secrets.ts";
import { formerKey, keyIdsInFolder, openKeyFile } from "./key-file.ts";
import { type MasterKey, parseMasterKey } from "./master-key.ts";
import { keyIdsOf, rotateMasterKey, sealAnew } from "./rotate-key.ts";
import { createSecrets } from "./secrets.ts";

/** Where the master key may come from; the first that is there is used: the variable, the command, the file. */
export interface KeySources {
  /** `BODYWORK_MASTER_KEY`. */
  readonly variable: string | undefined;
  /** `BODYWORK_PREVIOUS_MASTER_KEY`: what is sealed with it is sealed anew with the one in use. */
  readonly previousVariable: string | undefined;
  /** A program with its arguments that writes the key to standard output: `secrets.key_command` of the settings. */
  readonly command: readonly string[] | undefined;
  /** Its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Of the key file: `keys` in the home folder. */
  readonly folder: string;
}

export interface OpenSecrets {
  readonly secrets: Secrets;
  /**
   * Seals everything anew with a new key. `formerKeyFile` is where the former one is kept. Fails: usage (the key is not
   * in our file), secret-key, store-damaged.
   */
  rotateKey(): { readonly secrets: number; readonly formerKeyFile: string };
}

/**
 * Opens the secrets of a store; only its one writer does. A key that is not to be had, or another than the one that sealed
 * the secrets, stops what needs it, when it does so: secret-key. It may still come: the key file is looked for again. Fails:
 * home-unsafe (others may read the key file).
 */
export async function openSecrets(
  sources: KeySources,
  rows: SecretRows,
  clock: Pick<Clock, "now">,
): Promise<OpenSecrets> {
  const external = await externalKey(sources).then(
    (found) => () => found,
    (failure: unknown) => (): undefined => {
      throw failure;
    },
  );
  let found: MasterKey | undefined;
  const key = (): MasterKey => {
    found ??= fittingKey(external(), sources, rows);
    return found;
  };
  try {
    key();
  } catch (error) {
    const { code } = asFailure(error);
    if (code !== "secret-key" && code !== "store-damaged") throw error;
  }
  return {
    secrets: createSecrets({ rows, key, clock }),
    rotateKey() {
      refuseForeignKey(sources);
      found = undefined;
      key();
      // Should it fail, the secrets say which of the two it is.
      found = undefined;
      const rotated = rotateMasterKey(sources.folder, rows);
      found = rotated.key;
      return { secrets: rows.sealedSecrets().length, formerKeyFile: rotated.formerKeyFile };
    },
  };
}

function fittingKey(external: MasterKey | undefined, sources: KeySources, rows: SecretRows): MasterKey {
  const sealedWith = keyIdsOf(rows);
  const former = formerKeyAtHand(sources, sealedWith);
  const key = external ?? openKeyFile(sources.folder, former === undefined ? sealedWith : new Set());
  if (sealedWith.size === 0 || sealedWith.has(key.id)) return key;
  if (former !== undefined) {
    sealAnew(rows, former, key);
    return key;
  }
  throw new Failure(
    "secret-key",
    `Cannot open the secrets: they were sealed with the master key ${[...sealedWith].join(", ")}, and that of ${sourceOf(sources)} is ${key.id}.`,
    {
      hint: "Bring the former key back. To have them sealed with this one instead, start the server once with the former key in BODYWORK_PREVIOUS_MASTER_KEY.",
    },
  );
}

/** What the secrets are sealed with when it is a key from before: the variable's, or one that a rotation has kept. */
function formerKeyAtHand(sources: KeySources, sealedWith: ReadonlySet<string>): MasterKey | undefined {
  const previous = previousKey(sources);
  if (previous !== undefined && sealedWith.has(previous.id)) return previous;
  return [...sealedWith].flatMap((id) => formerKey(sources.folder, id) ?? [])[0];
}

/** Those of the `needed` keys, by id, that are not to be had from the sources. Fails: home-unsafe, secret-key. */
export async function missingKeys(
  sources: KeySources,
  needed: ReadonlySet<string>,
): Promise<readonly string[]> {
  if (needed.size === 0) return [];
  const external = await externalKey(sources);
  const there = new Set([
    ...(external === undefined ? keyIdsInFolder(sources.folder) : [external.id]),
    previousKey(sources)?.id,
  ]);
  return [...needed].filter((id) => !there.has(id) && formerKey(sources.folder, id) === undefined);
}

async function externalKey(sources: KeySources): Promise<MasterKey | undefined> {
  const { variable, command, environment } = sources;
  if (variable !== undefined) return parseMasterKey(variable, sourceOf(sources));
  if (command === undefined) return undefined;
  return parseMasterKey(await outputOf(command, environment), sourceOf(sources));
}

function previousKey({ previousVariable }: KeySources): MasterKey | undefined {
  if (previousVariable === undefined) return undefined;
  return parseMasterKey(previousVariable, "BODYWORK_PREVIOUS_MASTER_KEY");
}

/** Milliseconds that the command may take: the server is not there until it has answered. */
const commandTime = 30_000;

async function outputOf(
  [program = "", ...args]: readonly string[],
  env: KeySources["environment"],
): Promise<string> {
  const result = await runCommand(program, args, { env, timeout: commandTime, maxOutput: 64 * 1024 });
  if (result.exitCode === 0) return result.stdout;
  const why =
    result.startError ??
    (result.timedOut
      ? `it took longer than ${commandTime / 1000} s`
      : `it ended with ${result.exitCode ?? result.signal}`);
  throw new Failure(
    "secret-key",
    `Cannot get the master key of the secrets from the command ${program}: ${why}.`,
    {
      // Never what it wrote to standard output: that may be the key.
      details: result.stderr.trim().split("\n").filter(Boolean).slice(-5),
      hint: "Mend the command (secrets.key_command in settings.yaml), then start the server again.",
    },
  );
}

function refuseForeignKey(sources: KeySources): void {
  if (sources.variable === undefined && sources.command === undefined) return;
  throw new Failure("usage", `Cannot make a new master key: it is that of ${sourceOf(sources)}.`, {
    hint: "Change it there, and start the server once with the former key in BODYWORK_PREVIOUS_MASTER_KEY: it seals every secret anew.",
  });
}

function sourceOf({ variable, command, folder }: KeySources): string {
  if (variable !== undefined) return "BODYWORK_MASTER_KEY";
  return command === undefined ? `the folder ${folder}` : `the command ${command[0]}`;
}
