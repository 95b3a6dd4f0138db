import { Failure } from "../core/failure.ts";
import type { Run } from "../core/run-state.ts";
import type { ViewParts } from "./views.ts";

/** By its id, or by the beginning of one when only one run's begins so. Fails: not-found. */
export function findRun(id: string, read: ViewParts["read"]): Run {
  const exact = read((store) => store.run(id), undefined);
  if (exact !== undefined) return exact;
  const matches = read((store) => store.runs({}), []).filter((run) => run.id.startsWith(id));
  const [only] = matches;
  if (only !== undefined && matches.length === 1) return only;
  throw new Failure(
    "not-found",
    matches.length === 0 ? `There is no run ${id}.` : `Several runs begin with ${id}: ${firstOf(matches)}.`,
    { hint: "List them with: bodywork get runs" },
  );
}

/** Of the newest; a server has up to a hundred thousand. */
const toldRuns = 10;

function firstOf(runs: readonly Run[]): string {
  const told = runs.slice(0, toldRuns).map(({ id }) => id);
  const others = runs.length - told.length;
  return others === 0 ? told.join(", ") : `${told.join(", ")} and ${others} more`;
}
