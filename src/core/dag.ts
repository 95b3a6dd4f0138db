/** What runs after what: the DAG as written, as steps, and as a graph of stages. */

import type { Pipeline, Stage } from "./project.ts";

/** Names that a DAG may hold; far above any real one. */
export const mostDagNames = 10_000;

/** `emptySteps` are the steps (from 1) that hold a nameless stage, once for each. */
export type ParsedDag =
  | { readonly ok: true; readonly steps: readonly (readonly string[])[] }
  | { readonly ok: false; readonly emptySteps: readonly number[] }
  | { readonly ok: false; readonly emptySteps?: undefined };

/**
 * `a, b >> c` → `[[a, b], [c]]`. Spaces mean nothing anywhere, also inside names; tabs and line breaks are part of a
 * name, as in the original. Not ok without `emptySteps` when there are more than `mostDagNames`.
 */
export function parseDag(text: string): ParsedDag {
  const steps = text
    .replaceAll(" ", "")
    .split(">>", mostDagNames + 1)
    .map((step) => step.split(",", mostDagNames + 1));
  const count = steps.reduce((sum, step) => sum + step.length, 0);
  if (count > mostDagNames) return { ok: false };
  const emptySteps = steps.flatMap((step, index) => step.filter((name) => name === "").map(() => index + 1));
  return emptySteps.length > 0 ? { ok: false, emptySteps } : { ok: true, steps };
}

/** A stage as a run has it. `after` are the nodes that must have succeeded (services: be serving) before it starts. */
export interface StageNode {
  /** The stage's name; `train#2` when the DAG names it again. */
  readonly id: string;
  readonly stage: string;
  readonly after: readonly string[];
}

/** A project, as far as order goes. */
interface RunningStages {
  readonly pipeline: Pick<Pipeline, "steps">;
  readonly stages: ReadonlyMap<string, StageOrder>;
}

type StageOrder = Pick<Stage, "kind" | "needs">;

/**
 * The stages that the DAG names, in its order. Each step waits for the step before it, and inside a step the services
 * wait for the batch stages; unless any stage of the file has `needs`: then only needs make a stage wait, and the DAG
 * says no more than which stages run (each once).
 */
export function stageGraph({ pipeline, stages }: RunningStages): readonly StageNode[] {
  return isOrderedByNeeds(stages) ? needsGraph(pipeline.steps, stages) : stepGraph(pipeline.steps, stages);
}

export function isOrderedByNeeds(stages: ReadonlyMap<string, StageOrder>): boolean {
  return stages.values().some(({ needs }) => needs !== undefined);
}

function needsGraph(steps: Steps, stages: ReadonlyMap<string, StageOrder>): readonly StageNode[] {
  const running = [...new Set(steps.flat())];
  return running.map((stage) => ({
    id: stage,
    stage,
    after: [...new Set(stages.get(stage)?.needs ?? [])],
  }));
}

type Steps = readonly (readonly string[])[];

function stepGraph(steps: Steps, stages: ReadonlyMap<string, StageOrder>): readonly StageNode[] {
  const times = new Map<string, number>();
  const names = new Set(steps.flat());
  const nodeId = (stage: string): string => {
    let time = (times.get(stage) ?? 0) + 1;
    // A stage may be called `train#2` itself.
    while (time > 1 && names.has(`${stage}#${time}`)) time += 1;
    times.set(stage, time);
    return time === 1 ? stage : `${stage}#${time}`;
  };
  const nodes: StageNode[] = [];
  let before: readonly string[] = [];
  for (const step of steps) {
    const named = step.map((stage) => ({ id: nodeId(stage), stage }));
    const isBatch = ({ stage }: { stage: string }): boolean => stages.get(stage)?.kind === "batch";
    const batch = named.filter(isBatch);
    // One list for all that wait for the same, or wide steps would cost their width squared.
    const afterBatch = batch.length === 0 ? before : batch.map(({ id }) => id);
    for (const node of named) nodes.push({ ...node, after: isBatch(node) ? before : afterBatch });
    before = named.map(({ id }) => id);
  }
  return nodes;
}

/**
 * Whether one stage has always succeeded before another starts (both run by the DAG). Undefined when a cycle of needs
 * lets nobody say.
 */
export function stageOrder(
  steps: Steps,
  stages: ReadonlyMap<string, StageOrder>,
): (earlier: string, later: string) => boolean | undefined {
  return isOrderedByNeeds(stages) ? orderByNeeds(steps, stages) : orderBySteps(steps, stages);
}

function orderBySteps(
  steps: Steps,
  stages: ReadonlyMap<string, StageOrder>,
): (earlier: string, later: string) => boolean {
  const ranks = new Map<string, number>();
  for (const [index, step] of steps.entries()) {
    const waits = step.some((stage) => stages.get(stage)?.kind === "batch");
    for (const stage of step) {
      const isLast = waits && stages.get(stage)?.kind === "service";
      if (!ranks.has(stage)) ranks.set(stage, index * 2 + (isLast ? 1 : 0));
    }
  }
  return (earlier, later) => (ranks.get(earlier) ?? 0) < (ranks.get(later) ?? 0);
}

function orderByNeeds(
  steps: Steps,
  stages: ReadonlyMap<string, StageOrder>,
): (earlier: string, later: string) => boolean | undefined {
  const graph = needsGraph(steps, stages);
  const numbers = new Map(graph.map(({ id }, index) => [id, index]));
  // One bit for each stage that comes before: a search for each question would take seconds in a file made for it.
  const earlierThan = new Map<string, Uint32Array>();
  for (const { id, after } of topological(graph).sorted) {
    const bits = new Uint32Array(Math.ceil(graph.length / 32));
    for (const need of after) {
      const number = numbers.get(need);
      if (number === undefined) continue;
      bits[number >>> 5] = (bits[number >>> 5] ?? 0) | (1 << (number & 31));
      earlierThan.get(need)?.forEach((word, index) => {
        bits[index] = (bits[index] ?? 0) | word;
      });
    }
    earlierThan.set(id, bits);
  }
  return (earlier, later) => {
    const bits = earlierThan.get(later);
    const number = numbers.get(earlier);
    if (bits === undefined || number === undefined) return undefined;
    return ((bits[number >>> 5] ?? 0) & (1 << (number & 31))) !== 0;
  };
}

/** Circles of needs among the stages that run, each from one of its stages round to the same one. */
export function needsCycles(
  steps: Steps,
  stages: ReadonlyMap<string, StageOrder>,
): readonly (readonly string[])[] {
  if (!isOrderedByNeeds(stages)) return [];
  const left = new Map(topological(needsGraph(steps, stages)).unsorted.map((node) => [node.id, node]));
  const seen = new Set<string>();
  const cycles: string[][] = [];
  for (const start of left.keys()) {
    // Whoever is left over needs someone who is left over, so the walk ends in a circle.
    const walk: string[] = [];
    let at: string | undefined = start;
    while (at !== undefined && !seen.has(at)) {
      seen.add(at);
      walk.push(at);
      at = left.get(at)?.after.find((need) => left.has(need));
    }
    if (at !== undefined && walk.includes(at)) cycles.push([...walk.slice(walk.indexOf(at)), at]);
  }
  return cycles;
}

/** Kahn's order; `unsorted` are the nodes of cycles and those that wait for them. Needs that do not run are no needs. */
function topological(graph: readonly StageNode[]): {
  sorted: readonly StageNode[];
  unsorted: readonly StageNode[];
} {
  const nodes = new Map(graph.map((node) => [node.id, node]));
  const waiting = new Map(graph.map(({ id, after }) => [id, after.filter((need) => nodes.has(need)).length]));
  const followers = new Map<string, StageNode[]>();
  for (const node of graph) {
    for (const need of node.after) {
      const known = followers.get(need);
      if (known === undefined) followers.set(need, [node]);
      else known.push(node);
    }
  }
  const sorted = graph.filter(({ id }) => waiting.get(id) === 0);
  for (const node of sorted) {
    for (const follower of followers.get(node.id) ?? []) {
      const left = (waiting.get(follower.id) ?? 0) - 1;
      waiting.set(follower.id, left);
      if (left === 0) sorted.push(follower);
    }
  }
  return { sorted, unsorted: graph.filter(({ id }) => waiting.get(id) !== 0) };
}
