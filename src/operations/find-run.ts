import { Failure } from "../core/failure.ts";
import type { Run } from "../core/run-state.ts";
import type { ViewParts } from "./views.ts";

/** Of those that begin as one that is asked for. */
const toldRuns = 10;

/** By its id, or by the beginning of one when only one run's begins so. Fails: not-found. */
export function findRun(id: string, read: ViewParts["read"]): Run {
  const ids = read((store) => store.runIds(id, toldRuns + 1), []);
  const wanted = ids.includes(id) ? id : ids.length === 1 ? ids[0] : undefined;
  const run = wanted === undefined ? undefined : read((store) => store.run(wanted), undefined);
  if (run !== undefined) return run;
  const told = ids.slice(0, toldRuns).join(", ");
  throw new Failure(
    "not-found",
    ids.length === 0
      ? `There is no run ${id}.`
      : `Several runs begin with ${id}: ${told}${ids.length > toldRuns ? " and more" : ""}.`,
    { hint: "List them with: bodywork get runs" },
  );
}
