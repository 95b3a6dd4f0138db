import { expect, test } from "vitest";
import { mostDagNames, needsCycles, parseDag, stageGraph, stageOrder } from "../../src/core/dag.ts";
import type { Stage } from "../../src/core/project.ts";

test.each([
  ["a", [["a"]]],
  ["a>>b", [["a"], ["b"]]],
  ["  a , b  >> c ", [["a", "b"], ["c"]]],
  ["a b >> c", [["ab"], ["c"]]],
  ["a >>> b", [["a"], [">b"]]],
  ["a > b", [["a>b"]]],
  ["a\t>>b\n", [["a\t"], ["b\n"]]],
  ["a >> a", [["a"], ["a"]]],
  ["[a, b]", [["[a", "b]"]]],
])("the DAG %j is these steps", (text, steps) => {
  expect(parseDag(text)).toEqual({ ok: true, steps });
});

test.each([
  ["", [1]],
  ["  ", [1]],
  ["a >>", [2]],
  [">> a", [1]],
  ["a >>>> b", [2]],
  ["a, >> b", [1]],
  ["a >> ,", [2, 2]],
  ["a >> b,,c >> , d", [2, 3]],
])("the DAG %j has nameless stages in steps %j", (text, emptySteps) => {
  expect(parseDag(text)).toEqual({ ok: false, emptySteps });
});

test("a DAG with more names than any is refused as a whole", () => {
  expect(parseDag(Array(mostDagNames).fill("a").join(","))).toMatchObject({ ok: true });
  expect(
    parseDag(
      Array(mostDagNames + 1)
        .fill("a")
        .join(","),
    ),
  ).toEqual({ ok: false });
  expect(
    parseDag(
      Array(mostDagNames + 1)
        .fill("a")
        .join(">>"),
    ),
  ).toEqual({ ok: false });
});

test("a step waits for everything of the step before it", () => {
  const graph = stageGraph(project("a, b >> c >> d", { a: batch(), b: batch(), c: batch(), d: batch() }));
  expect(graph).toEqual([
    { id: "a", stage: "a", after: [] },
    { id: "b", stage: "b", after: [] },
    { id: "c", stage: "c", after: ["a", "b"] },
    { id: "d", stage: "d", after: ["c"] },
  ]);
});

test("the services of a mixed step wait for its batch stages, and the next step for all of it", () => {
  const stages = { a: batch(), web: service(), b: batch(), c: batch() };
  const graph = stageGraph(project("a >> web, b >> c", stages));
  expect(graph).toEqual([
    { id: "a", stage: "a", after: [] },
    { id: "web", stage: "web", after: ["b"] },
    { id: "b", stage: "b", after: ["a"] },
    { id: "c", stage: "c", after: ["web", "b"] },
  ]);
});

test("services in a step of their own wait for the step before", () => {
  const graph = stageGraph(project("a >> x, y", { a: batch(), x: service(), y: service() }));
  expect(graph.slice(1).map(({ after }) => after)).toEqual([["a"], ["a"]]);
});

test("a stage that the DAG names again is a node of its own", () => {
  const graph = stageGraph(project("a >> b >> a >> a", { a: batch(), b: batch() }));
  expect(graph.map(({ id, after }) => [id, after])).toEqual([
    ["a", []],
    ["b", ["a"]],
    ["a#2", ["b"]],
    ["a#3", ["a#2"]],
  ]);
});

test("the nodes of a repeated stage stay apart from a stage that is called like one of them", () => {
  const graph = stageGraph(project("a >> a#2 >> a", { a: batch(), "a#2": batch() }));
  expect(graph.map(({ id, stage }) => [id, stage])).toEqual([
    ["a", "a"],
    ["a#2", "a#2"],
    ["a#3", "a"],
  ]);
});

test("when any stage has needs, only needs make a stage wait, and each stage runs once", () => {
  const stages = { a: batch(), b: batch(["a", "a"]), c: batch(), web: service(["b", "c"]) };
  const graph = stageGraph(project("a >> b >> c >> web >> a", stages));
  expect(graph).toEqual([
    { id: "a", stage: "a", after: [] },
    { id: "b", stage: "b", after: ["a"] },
    { id: "c", stage: "c", after: [] },
    { id: "web", stage: "web", after: ["b", "c"] },
  ]);
});

test("needs that are there but empty switch the steps off as well", () => {
  const graph = stageGraph(project("a >> b", { a: batch([]), b: batch() }));
  expect(graph.map(({ after }) => after)).toEqual([[], []]);
});

test("by steps, one stage is before another in an earlier step, and before the services of its own", () => {
  const stages = { a: batch(), b: batch(), web: service(), c: batch() };
  const isBefore = order("a, web >> b, c", stages);
  expect(isBefore("a", "b")).toBe(true);
  expect(isBefore("a", "web")).toBe(true);
  expect(isBefore("web", "a")).toBe(false);
  expect(isBefore("b", "c")).toBe(false);
  expect(isBefore("b", "a")).toBe(false);
});

test("by needs, one stage is before another through any chain of needs, and by nothing else", () => {
  const stages = { a: batch(), b: batch(["a"]), c: batch(["b"]), d: batch() };
  const isBefore = order("a >> d >> b >> c", stages);
  expect(isBefore("a", "c")).toBe(true);
  expect(isBefore("b", "c")).toBe(true);
  expect(isBefore("c", "a")).toBe(false);
  expect(isBefore("d", "c")).toBe(false);
});

test("the order by needs holds for more stages than a machine word has bits", () => {
  const names = Array.from({ length: 100 }, (_, index) => `s${index}`);
  const stages = Object.fromEntries(
    names.map((name, index) => [name, batch(index === 0 ? [] : [`s${index - 1}`])]),
  );
  const isBefore = order(names.toReversed().join(","), stages);
  for (const earlier of [0, 31, 32, 63, 64, 98]) {
    expect(isBefore(`s${earlier}`, "s99")).toBe(true);
    expect(isBefore("s99", `s${earlier}`)).toBe(false);
  }
});

test("stages that wait for each other are found, each circle once, and nobody can say their order", () => {
  const stages = {
    a: batch(["c"]),
    b: batch(["a"]),
    c: batch(["b"]),
    self: batch(["self"]),
    later: batch(["a"]),
    free: batch(),
  };
  const dag = "a, b, c, self, later, free";
  expect(needsCycles(parsedSteps(dag), new Map(Object.entries(stages)))).toEqual([
    ["a", "c", "b", "a"],
    ["self", "self"],
  ]);
  expect(order(dag, stages)("a", "later")).toBeUndefined();
});

type StageShape = Pick<Stage, "kind" | "needs">;

function batch(needs?: readonly string[]): StageShape {
  return { kind: "batch", needs };
}

function service(needs?: readonly string[]): StageShape {
  return { kind: "service", needs };
}

function parsedSteps(dag: string): readonly (readonly string[])[] {
  const parsed = parseDag(dag);
  if (!parsed.ok) throw new Error(`bad DAG in the test: ${dag}`);
  return parsed.steps;
}

function project(
  dag: string,
  stages: Readonly<Record<string, StageShape>>,
): Parameters<typeof stageGraph>[0] {
  return { pipeline: { steps: parsedSteps(dag) }, stages: new Map(Object.entries(stages)) };
}

function order(dag: string, stages: Readonly<Record<string, StageShape>>): ReturnType<typeof stageOrder> {
  return stageOrder(parsedSteps(dag), new Map(Object.entries(stages)));
}
