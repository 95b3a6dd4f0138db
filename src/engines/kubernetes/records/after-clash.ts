import { isDeepStrictEqual } from "node:util";

import { Failure } from "../../../core/failure.ts";
import type { Release, Run } from "../../../core/run-state.ts";
import {
  type DeploymentContent,
  describe,
  isFinished,
  type RecordContent,
  runOfKey,
} from "./record-content.ts";

export interface Clash {
  readonly wanted: RecordContent;
  /** What was there when we last read or wrote it; undefined when we never saw it. */
  readonly known: RecordContent | undefined;
  /** What is there now. */
  readonly found: RecordContent | undefined;
}

/**
 * What is to be written now that something else is there than was thought; undefined when nothing is. One
 * controller writes a run, and one at a time a pipeline's releases; what another has written there is never
 * written over. Fails: superseded.
 */
export function afterClash({ wanted, known, found }: Clash): RecordContent | undefined {
  if (found === undefined) return afterRemoval(wanted, known);
  if (isSame(found, wanted) || isSame(found, known)) return wanted;
  if (wanted.kind === "deployment" && found.kind === "deployment") {
    return withOthersWork(wanted, known?.kind === "deployment" ? known : undefined, found);
  }
  if (wanted.kind === "release" && found.kind === "release") {
    if (wanted.release.runId === found.release.runId) return wanted;
    throw madeBefore(found.release);
  }
  if (wanted.kind === "document" && (known === undefined || runOfKey(wanted.key) === undefined))
    return wanted;
  throw new Failure(
    "superseded",
    `Cannot record ${describe(wanted)}: another controller has changed it meanwhile.`,
    { hint: "See what became of the run with: bodywork get runs" },
  );
}

/** Whether the deployment or its releases change, not only which run was the last one. */
export function isCommit(wanted: DeploymentContent, known: DeploymentContent | undefined): boolean {
  return (
    known === undefined ||
    !isSame(wanted.deployment, known.deployment) ||
    !isSame(wanted.releases, known.releases)
  );
}

/** Another run's release of the same number. */
export function madeBefore({ number, runId }: Release): Failure {
  return new Failure("superseded", `superseded by run ${runId}, which has made release ${number}`);
}

/** What has ended is not brought back by whoever did not hear of its removal. */
function afterRemoval(wanted: RecordContent, known: RecordContent | undefined): RecordContent | undefined {
  if (known === undefined) return wanted;
  if (wanted.kind === "run" && wanted.run !== undefined && isFinished(wanted.run)) return undefined;
  if (wanted.kind === "deployment" && known.kind === "deployment" && !isCommit(wanted, known))
    return undefined;
  return wanted;
}

function withOthersWork(
  wanted: DeploymentContent,
  known: DeploymentContent | undefined,
  found: DeploymentContent,
): DeploymentContent {
  const lastRun = newerOf(wanted.lastRun, found.lastRun);
  if (known !== undefined && !isCommit(wanted, known)) return { ...found, lastRun };
  if (!isCommit(wanted, found) || (known !== undefined && !isCommit(found, known))) {
    return { ...wanted, lastRun };
  }
  const other = otherRelease(wanted.releases, found.releases);
  if (other !== undefined) throw madeBefore(other);
  throw new Failure(
    "superseded",
    `Cannot record ${describe(wanted)}: another controller has made release ${found.deployment.liveRelease} of it.`,
    { hint: "See what became of it with: bodywork get deployments" },
  );
}

/** One of `found` that has the number of one of ours, and is another run's. */
export function otherRelease(ours: readonly Release[], found: readonly Release[]): Release | undefined {
  return found.find(({ number, runId }) =>
    ours.some((release) => release.number === number && release.runId !== runId),
  );
}

function newerOf(one: Run | undefined, other: Run | undefined): Run | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.id >= other.id ? one : other;
}

/** As they are stored: what is undefined is not there. */
function isSame(one: unknown, other: unknown): boolean {
  if (one === undefined || other === undefined) return one === other;
  return isDeepStrictEqual(JSON.parse(JSON.stringify(one)), JSON.parse(JSON.stringify(other)));
}
