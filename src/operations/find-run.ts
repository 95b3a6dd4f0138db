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
    matches.length === 0
      ? `There is no run ${id}.`
      : `Several runs begin with ${id}: ${matches.map((run) => run.id).join(", ")}.`,
    { hint: "List them with: bodywork get runs" },
  );
}
