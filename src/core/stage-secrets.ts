import { stageGraph } from "./dag.ts";
import { sanitisedName } from "./naming.ts";
import type { Project } from "./project.ts";
import type { SecretReference, SecretSummary } from "./secret-state.ts";

/** Variable → where its value is. */
export type VariableSecrets = Readonly<Record<string, SecretReference>>;

/** The same of each stage that has secrets. */
export type StageSecrets = Readonly<Record<string, VariableSecrets>>;

/** A variable whose value is not to be had. */
export interface MissingKey {
  readonly stage: string;
  /** The variable, and the key in the secret. */
  readonly key: string;
  readonly secret: string;
  /** False when there is no such secret at all. */
  readonly secretIsThere: boolean;
}

/**
 * Finds the value of each `secrets: {VAR: NAME}` of the stages that may run, in the newest versions of a group's secrets.
 * Variable and key share their name. Names are sanitised as they are when a secret is created.
 */
export function findStageSecrets(
  project: Project,
  group: string,
  newest: readonly SecretSummary[],
): { readonly secrets: StageSecrets; readonly missing: readonly MissingKey[] } {
  const byName = new Map(
    newest.filter((secret) => secret.group === group).map((secret) => [secret.name, secret]),
  );
  const missing: MissingKey[] = [];
  const found: [string, Record<string, SecretReference>][] = [];
  for (const stage of stagesThatMayRun(project)) {
    const references: [string, SecretReference][] = [];
    for (const [key, secret] of Object.entries(project.stages.get(stage)?.secrets ?? {})) {
      const name = sanitisedName(secret);
      const summary = byName.get(name);
      if (summary?.keys.includes(key) === true) {
        references.push([key, { group, name, key, version: summary.version }]);
      } else {
        missing.push({ stage, key, secret: name, secretIsThere: summary !== undefined });
      }
    }
    if (references.length > 0) found.push([stage, Object.fromEntries(references)]);
  }
  return { secrets: Object.fromEntries(found), missing };
}

/** Where the variables of one stage have their values from. */
export function secretsOfStage(secrets: StageSecrets, stage: string): VariableSecrets {
  return (Object.hasOwn(secrets, stage) ? secrets[stage] : undefined) ?? {};
}

function stagesThatMayRun(project: Project): ReadonlySet<string> {
  const { runOnFailure } = project.pipeline;
  const ofDag = stageGraph(project).map(({ stage }) => stage);
  return new Set(runOnFailure === undefined ? ofDag : [...ofDag, runOnFailure]);
}
