import { Gauge, type Metric, type Registry } from "prom-client";

import type { IngressStats } from "../../core/ingress-stats.ts";

/** What the ingress has counted, as it says itself. */
export function createIngressMetrics(registry: Registry): { take(stats: IngressStats | undefined): void } {
  let latest: IngressStats | undefined;
  const up = new Gauge({
    name: "bodywork_ingress_up",
    help: "1 when the ingress says what it has counted; it does not run before there is a service.",
    registers: [registry],
  });
  const requests: CopiedMetric = {
    name: "bodywork_ingress_requests_total",
    help: "Requests, by service and status code; 499 when the client left before there was an answer.",
    type: "counter",
    values: requestValues,
  };
  const seconds: CopiedMetric = {
    name: "bodywork_ingress_request_seconds",
    help: "How long requests took until their answer was whole; a websocket until it was open.",
    type: "histogram",
    values: secondsValues,
  };
  for (const metric of [requests, seconds]) registry.registerMetric(copied(metric, () => latest));
  return {
    take(stats) {
      latest = stats;
      up.set(stats === undefined ? 0 : 1);
    },
  };
}

/** What belongs to no service is one, under a name that no service can have. */
const unrouted = { namespace: "(unknown)", service: "(unknown)" };

interface Value {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly metricName?: string;
}

interface CopiedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "histogram";
  readonly values: (stats: IngressStats) => readonly Value[];
}

function requestValues(stats: IngressStats): readonly Value[] {
  return [
    ...stats.services.map(({ namespace, service, codes }) => ({ labels: { namespace, service }, codes })),
    { labels: unrouted, codes: stats.unrouted },
  ].flatMap(({ labels, codes }) =>
    Object.entries(codes).map(([code, value]) => ({ labels: { ...labels, code }, value })),
  );
}

/** Prometheus wants in each bucket what is in the smaller ones too. */
function secondsValues({ bounds, services }: IngressStats): readonly Value[] {
  const name = "bodywork_ingress_request_seconds";
  return services.flatMap(({ namespace, service, buckets, seconds }) => {
    const labels = { namespace, service };
    let count = 0;
    const cumulative = buckets.map((inBucket, index): Value => {
      count += inBucket;
      const le = String(bounds[index] ?? "+Inf");
      return { labels: { ...labels, le }, value: count, metricName: `${name}_bucket` };
    });
    return [
      ...cumulative,
      { labels, value: seconds, metricName: `${name}_sum` },
      { labels, value: count, metricName: `${name}_count` },
    ];
  });
}

/** The library's own counters and histograms can only be counted up one by one. A registry asks no more of a metric than this. */
function copied(
  { name, help, type, values }: CopiedMetric,
  stats: () => IngressStats | undefined,
): Metric<string> {
  const found = (): readonly Value[] => {
    const latest = stats();
    return latest === undefined ? [] : values(latest);
  };
  const metric = {
    name,
    get: async () => ({ name, help, type, aggregator: "sum", values: found() }),
  };
  return metric as unknown as Metric<string>;
}
