import type { Environments } from "../ports/environments.ts";
import type { SharedParts } from "./run-actions.ts";

/** Removes environments that nobody needs: no live service, no release that may be put back, no run that goes on. */
export function cleanEnvironments(
  unusedDays: number,
  { store, clock, engine, environments }: Pick<SharedParts, "store" | "clock" | "engine" | "environments">,
): ReturnType<Environments["sweep"]> {
  const unfinished = store.unfinishedRuns();
  const live = engine.services().map((service) => engine.currentTask(service));
  const mayBePutBack = unfinished.flatMap(({ changed }) => changed.map(({ previous }) => previous));
  const begun = unfinished.map(({ createdAt }) => Date.parse(createdAt));
  return environments.sweep({
    keep: new Set(
      [...live, ...mayBePutBack].flatMap((task) => (task === undefined ? [] : [task.environment.key])),
    ),
    // What was used since a run began that is not finished may be what it uses.
    unusedSince: new Date(Math.min(clock.now().getTime() - unusedDays * 86_400_000, ...begun)),
  });
}
