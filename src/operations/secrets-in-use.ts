import type { ServiceTask } from "../core/run-state.ts";
import type { SecretVersion } from "../core/secret-state.ts";
import type { RunParts } from "./carry-out-run.ts";

/**
 * Versions that must not be swept: of what serves or is the live release, of what an unfinished run has decided to use, and
 * of what it would put back.
 */
export function secretsInUse({
  store,
  engine,
}: Pick<RunParts, "store" | "engine">): readonly SecretVersion[] {
  const serving = engine.services().map((service) => engine.currentTask(service));
  const live = store.deployments().flatMap(({ namespace, name, liveRelease }) => {
    const release = liveRelease === undefined ? undefined : store.release(namespace, name, liveRelease);
    return release?.services ?? [];
  });
  const unfinished = store.unfinishedRuns();
  const former = unfinished.flatMap(({ changed }) => changed.map(({ previous }) => previous));
  const ofTasks = [...serving, ...live, ...former].flatMap((task: ServiceTask | undefined) =>
    Object.values(task?.secrets ?? {}),
  );
  const ofRuns = unfinished.flatMap(({ secrets }) =>
    Object.values(secrets ?? {}).flatMap((stage) => Object.values(stage)),
  );
  return [...ofTasks, ...ofRuns].map(({ group, name, version }) => ({ group, name, version }));
}
