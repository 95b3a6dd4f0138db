import {
  finishedRunStatuses,
  type Run,
  type RunStatus,
  type ServiceStatus,
} from "../../../src/core/run-state.ts";

/** What is found of one deployment with one service when nothing goes on any more. */
export interface Found {
  /** Runs that were begun since the last look, newest first. */
  readonly runs: readonly Run[];
  /** The newest run as `get deployments` has it. */
  readonly lastRun: { readonly id: string; readonly status: RunStatus } | undefined;
  readonly liveRelease: { readonly number: number; readonly runId: string; readonly version: string };
  readonly services: readonly ServiceStatus[];
  /** `RUN ATTEMPT`, once for each time that the batch stage was begun since the last look. */
  readonly marks: readonly string[];
  /** Different answers of the service. */
  readonly answers: readonly string[];
  /** Processes of stages that work below the folder of the live run, and those that do not. */
  readonly ofLiveRun: readonly string[];
  readonly strays: readonly string[];
  readonly servers: number;
  /** What SQLite says of the store. */
  readonly integrity: string;
}

/** What is wrong with it, one line each. */
export function faultsOf(found: Found): readonly string[] {
  return [
    ...runFaults(found),
    ...attemptFaults(found),
    ...serviceFaults(found),
    ...processFaults(found),
    ...(found.integrity === "ok" ? [] : [`the store is damaged: ${found.integrity}`]),
  ];
}

function runFaults({ runs, lastRun, liveRelease }: Found): readonly string[] {
  const stuck = runs.filter(({ status }) => !finishedRunStatuses.has(status));
  const newestSucceeded = runs.find(({ status }) => status === "succeeded");
  // One that ended before it had read its project file is of no deployment.
  const newest = runs.find(({ deployment }) => deployment !== undefined);
  return [
    ...stuck.map(({ id, status }) => `run ${id} is stuck: ${status}`),
    ...(newestSucceeded === undefined || newestSucceeded.id === liveRelease.runId
      ? []
      : [`run ${newestSucceeded.id} succeeded last, and the live release is of ${liveRelease.runId}`]),
    ...(newest === undefined || (newest.id === lastRun?.id && newest.status === lastRun.status)
      ? []
      : [
          `the runs end with ${newest.id}, ${newest.status}; the deployment's is ${lastRun?.id}, ${lastRun?.status}`,
        ]),
  ];
}

function attemptFaults({ runs, marks }: Found): readonly string[] {
  const counts = new Map<string, number>();
  for (const mark of marks) counts.set(mark, (counts.get(mark) ?? 0) + 1);
  const attempts = runs.flatMap(({ id, stages }) =>
    stages
      .filter(({ kind }) => kind === "batch")
      .flatMap((stage) => stage.attempts.map(({ number, status }) => ({ mark: `${id} ${number}`, status }))),
  );
  const onRecord = new Set(attempts.map(({ mark }) => mark));
  return [
    ...[...counts]
      .filter(([, count]) => count > 1)
      .map(([mark, count]) => `attempt ${mark} ran ${count} times`),
    ...[...counts.keys()]
      .filter((mark) => !onRecord.has(mark))
      .map((mark) => `attempt ${mark} is on no record`),
    ...attempts
      .filter(({ mark, status }) => status === "succeeded" && !counts.has(mark))
      .map(({ mark }) => `attempt ${mark} succeeded and never ran`),
    ...attempts.filter(({ status }) => status === "lost").map(({ mark }) => `attempt ${mark} was lost`),
  ];
}

function serviceFaults({ services, liveRelease, answers }: Found): readonly string[] {
  return [
    ...(services.length === 1 ? [] : [`there are ${services.length} services`]),
    ...services
      .filter(({ release }) => release !== liveRelease.number)
      .map(({ release }) => `release ${release} serves, and the live one is ${liveRelease.number}`),
    ...services
      .filter(
        ({ state, readyReplicas, wantedReplicas }) => state !== "serving" || readyReplicas !== wantedReplicas,
      )
      .map(
        ({ state, readyReplicas, reason }) =>
          `the service is ${state} with ${readyReplicas} ready: ${reason ?? ""}`,
      ),
    ...(answers.length === 1 && answers[0] === liveRelease.version
      ? []
      : [`the answers are ${answers.join(", ")}, and version ${liveRelease.version} is live`]),
  ];
}

function processFaults({ services, ofLiveRun, strays, servers }: Found): readonly string[] {
  // Each replica is a shim and its program.
  const wanted = 2 * services.reduce((sum, { wantedReplicas }) => sum + wantedReplicas, 0);
  return [
    ...strays.map((line) => `left running: ${line}`),
    ...(ofLiveRun.length === wanted
      ? []
      : [`${ofLiveRun.length} processes instead of ${wanted} serve: ${ofLiveRun.join("; ")}`]),
    ...(servers === 1 ? [] : [`there are ${servers} servers`]),
  ];
}
