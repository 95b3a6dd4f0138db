import { expect, test } from "vitest";
import type { IngressStats } from "../../../src/core/ingress-stats.ts";
import { createMetrics, type Metrics, type MetricsParts } from "../../../src/operations/metrics/metrics.ts";
import { watchStore } from "../../../src/operations/watch-store.ts";
import { aJob, aRun, aService, aStage } from "../../store/records.ts";
import {
  projectUrl,
  serverOf,
  type TestServer,
  type World,
  world,
} from "../../support/operations-harness.ts";
import { project } from "../../support/project-text.ts";

/** A server whose metrics are wired as in the true one. */
function measured(the: World): { readonly server: TestServer; readonly metrics: Metrics } {
  const metrics = metricsOf({
    store: {
      unfinishedRuns: () => server.store.unfinishedRuns(),
      unfinishedJobs: () => server.store.unfinishedJobs(),
    },
    engine: { services: () => server.engine.services() },
    clock: the.clock,
  });
  const server = serverOf(the, {
    wrapStore: (store) => watchStore(store, [metrics.observe], (error) => expect.unreachable(String(error))),
    parts: { environments: metrics.watchEnvironments(the.environments) },
  });
  return { server, metrics };
}

function metricsOf(parts: Partial<MetricsParts> = {}): Metrics {
  return createMetrics({
    store: { unfinishedRuns: () => [], unfinishedJobs: () => [] },
    engine: { services: () => [] },
    ingressStats: async () => undefined,
    clock: { monotonic: () => performance.now() },
    ...parts,
  });
}

/** Series → value. Throws when the text is not of Prometheus' format, or has a series twice. */
async function read(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  const series = new Map<string, number>();
  const typed = new Set<string>();
  for (const line of (await metrics.text()).split("\n")) {
    if (line === "" || line.startsWith("# HELP ")) continue;
    const type = /^# TYPE (\w+) (?:counter|gauge|histogram)$/.exec(line);
    if (type !== null) {
      typed.add(type[1] as string);
      continue;
    }
    const sample = /^((\w+)(?:\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})?) (-?[\d.e+-]+|Nan|[+-]Inf)$/.exec(line);
    if (sample === null) throw new Error(`not a sample: ${line}`);
    const [, name = "", metric = "", value] = sample;
    if (!typed.has(metric.replace(/_(bucket|sum|count)$/, "")) && !typed.has(metric)) {
      throw new Error(`without a type: ${line}`);
    }
    if (series.has(name)) throw new Error(`twice: ${line}`);
    series.set(name, Number(value));
  }
  return series;
}

test("runs are counted as they end, by status and what started them, with the seconds of their stages", async () => {
  const the = world();
  the.source.push(projectUrl, project("a >> b", { a: "batch", b: "service" }));
  const { server, metrics } = measured(the);
  await server.deployed();
  the.machine.behaviours.set("a", { does: "fail", reason: "exit 3" });
  await server.finished(await server.deploy(projectUrl, { startedBy: "cron" }));
  await server.finished(await server.deploy(projectUrl, { startedBy: "a robot" }));
  const found = await read(metrics);
  const runs = (status: string, starter: string): number | undefined =>
    found.get(`bodywork_runs_total{status="${status}",started_by="${starter}"}`);
  expect([runs("succeeded", "command"), runs("failed", "cron"), runs("failed", "other")]).toEqual([1, 1, 1]);
  expect(runs("cancelled", "command"), "there from the start").toBe(0);
  const [run] = server.store.runs({});
  const labels = `namespace="${run?.namespace}",deployment="${run?.deployment}"`;
  expect(found.get(`bodywork_run_seconds_count{${labels},status="failed"}`)).toBe(2);
  const stages = (rest: string): number | undefined =>
    found.get(`bodywork_stage_seconds_count{${labels},${rest}}`);
  expect(stages('stage="a",kind="batch",status="succeeded"')).toBe(1);
  expect(stages('stage="a",kind="batch",status="failed"')).toBe(2);
  expect(stages('stage="b",kind="service",status="succeeded"')).toBe(1);
  expect(found.get('bodywork_environment_build_seconds_count{status="succeeded"}')).toBe(1);
});

test("an environment that can't be built is counted apart; one that is there, or that nobody waits for any more, is not", async () => {
  const metrics = metricsOf();
  const environments = metrics.watchEnvironments(world().environments);
  const wanted = { requirementsFile: undefined, python: undefined, notebook: false };
  await expect(environments.prepare({ ...wanted, requirements: ["missing"] })).rejects.toThrow();
  await environments.prepare({ ...wanted, requirements: [] });
  await environments.prepare({ ...wanted, requirements: [] });
  const left = AbortSignal.abort();
  const slow = { ...wanted, requirements: ["missing", "slow"] };
  await expect(environments.prepare(slow, { signal: left })).rejects.toThrow();
  const found = await read(metrics);
  const count = (status: string) => found.get(`bodywork_environment_build_seconds_count{status="${status}"}`);
  expect([count("succeeded"), count("failed")]).toEqual([1, 1]);
});

test("seconds fall into the buckets of how long it took, and a clock that was set back does no harm", async () => {
  const metrics = metricsOf();
  const ended = (seconds: number) =>
    aRun("1", {
      startedAt: "2026-11-25T08:00:00.000Z",
      endedAt: new Date(Date.parse("2026-11-25T08:00:00.000Z") + seconds * 1000).toISOString(),
      stages: [aStage("never-started")],
    });
  for (const seconds of [0.5, 90, -30]) metrics.observe({ kind: "run", run: ended(seconds) });
  metrics.observe({ kind: "run", run: aRun("2", { status: "cancelled" }) });
  const found = await read(metrics);
  const bucket = (le: string) =>
    found.get(`bodywork_run_seconds_bucket{le="${le}",namespace="ml",deployment="iris",status="succeeded"}`);
  expect([bucket("1"), bucket("60"), bucket("120"), bucket("+Inf")]).toEqual([2, 2, 3, 3]);
  expect([...found.keys()].filter((name) => name.startsWith("bodywork_stage_seconds"))).toEqual([]);
});

test("what is not finished is looked up when it is asked for", async () => {
  let runs = [
    aRun("1", { status: "queued" }),
    aRun("2", { status: "preparing", waitingFor: "run 3" }),
    aRun("3", { status: "running" }),
    aRun("4", { status: "running" }),
  ];
  const metrics = metricsOf({
    store: {
      unfinishedRuns: () => runs,
      unfinishedJobs: () => [aJob("a"), aJob("b", { status: "active", runs: ["3"] })],
    },
  });
  const states = async (): Promise<readonly (number | undefined)[]> => {
    const found = await read(metrics);
    return ["queued", "preparing", "waiting", "running", "reverting"].map((state) =>
      found.get(`bodywork_unfinished_runs{state="${state}"}`),
    );
  };
  expect(await states()).toEqual([1, 0, 1, 2, 0]);
  runs = [];
  expect(await states()).toEqual([0, 0, 0, 0, 0]);
  const found = await read(metrics);
  expect(found.get('bodywork_unfinished_jobs{status="waiting"}')).toBe(1);
  expect(found.get('bodywork_unfinished_jobs{status="active"}')).toBe(1);
});

test("services are told as they are, and not when they are gone", async () => {
  let services = [
    { ...aService("stage_1"), name: "stage-1", wantedReplicas: 3, readyReplicas: 2, restarts: 5 },
  ];
  const metrics = metricsOf({ engine: { services: () => services } });
  const labels = '{namespace="ml",deployment="iris",service="stage-1"}';
  const values = async (): Promise<readonly (number | undefined)[]> => {
    const found = await read(metrics);
    return ["replicas_wanted", "replicas_ready", "restarts_total"].map((name) =>
      found.get(`bodywork_service_${name}${labels}`),
    );
  };
  expect(await values()).toEqual([3, 2, 5]);
  expect(await values(), "asked again").toEqual([3, 2, 5]);
  services = [];
  expect(await values()).toEqual([undefined, undefined, undefined]);
});

test("each due time is counted once by what became of it, with its lateness, and each job by its end", async () => {
  const metrics = metricsOf();
  const due = aJob("train-1", { cronjob: "train", dueAt: "2026-11-25T08:00:00.000Z" });
  const started = { ...due, startedAt: "2026-11-25T08:00:00.300Z" };
  const changes = [
    due,
    { ...started, status: "active", runs: ["1"] },
    { ...started, status: "waiting", runs: ["1"] },
    { ...started, status: "active", runs: ["1", "2"] },
    { ...started, status: "succeeded", runs: ["1", "2"] },
    { ...due, id: "train-2", status: "skipped" },
    { ...due, id: "train-3", status: "missed" },
    { ...due, id: "train-4", status: "missed" },
    aJob("async-1", { status: "active", runs: ["3"] }),
    aJob("async-1", { status: "failed", runs: ["3"] }),
  ] as const;
  for (const job of changes) metrics.observe({ kind: "job", job });
  const found = await read(metrics);
  const outcome = (name: string): number | undefined =>
    found.get(`bodywork_cronjob_due_times_total{cronjob="train",outcome="${name}"}`);
  expect([outcome("started"), outcome("skipped"), outcome("missed")]).toEqual([1, 1, 2]);
  expect(found.get("bodywork_cronjob_lateness_seconds_count")).toBe(1);
  expect(found.get("bodywork_cronjob_lateness_seconds_sum")).toBeCloseTo(0.3);
  const ended = ["cron", "async"].flatMap((kind) =>
    ["succeeded", "failed"].map((status) =>
      found.get(`bodywork_jobs_total{kind="${kind}",status="${status}"}`),
    ),
  );
  expect(ended).toEqual([1, 0, 0, 1]);
});

test("what the ingress has counted is told in Prometheus' way: buckets hold the smaller ones too", async () => {
  const stats: IngressStats = {
    bounds: [0.01, 0.1],
    services: [
      { namespace: "ml", service: "serve", codes: { 200: 5, 502: 1 }, buckets: [3, 2, 1], seconds: 1.5 },
      { namespace: "ml", service: "idle", codes: {}, buckets: [0, 0, 0], seconds: 0 },
    ],
    unrouted: { 404: 7 },
  };
  const found = await read(metricsOf({ ingressStats: async () => stats }));
  const requests = (service: string, code: number, namespace = "ml"): number | undefined =>
    found.get(
      `bodywork_ingress_requests_total{namespace="${namespace}",service="${service}",code="${code}"}`,
    );
  expect([requests("serve", 200), requests("serve", 502)]).toEqual([5, 1]);
  expect(requests("(unknown)", 404, "(unknown)")).toBe(7);
  const seconds = (name: string, rest = ""): number | undefined =>
    found.get(`bodywork_ingress_request_seconds_${name}{namespace="ml",service="serve"${rest}}`);
  expect(["0.01", "0.1", "+Inf"].map((le) => seconds("bucket", `,le="${le}"`))).toEqual([3, 5, 6]);
  expect([seconds("sum"), seconds("count"), found.get("bodywork_ingress_up")]).toEqual([1.5, 6, 1]);
  expect(found.get('bodywork_ingress_request_seconds_count{namespace="ml",service="idle"}')).toBe(0);
});

test("without an ingress, or with one that knows no counts, all else is told", async () => {
  const found = await read(metricsOf());
  expect(found.get("bodywork_ingress_up")).toBe(0);
  expect([...found.keys()].filter((name) => name.startsWith("bodywork_ingress_re"))).toEqual([]);
  expect(found.get("process_resident_memory_bytes")).toBeGreaterThan(0);
});

test("the number of series is bounded, whatever projects are called", async () => {
  const metrics = metricsOf();
  const times = { startedAt: "2026-11-25T08:00:00.000Z", endedAt: "2026-11-25T08:00:01.000Z" };
  for (let project = 0; project < 700; project++) {
    const stages = [{ ...aStage("train"), ...times, status: "succeeded" as const }];
    metrics.observe({ kind: "run", run: aRun("1", { deployment: `p${project}`, ...times, stages }) });
  }
  const found = await read(metrics);
  const series = (name: string): number =>
    [...found.keys()].filter((key) => key.startsWith(`${name}{`)).length;
  expect([series("bodywork_run_seconds_count"), series("bodywork_stage_seconds_count")]).toEqual([201, 501]);
  const rest = 'namespace="(others)",deployment="(others)",status="succeeded"';
  expect(found.get(`bodywork_run_seconds_count{${rest}}`)).toBe(500);
});
