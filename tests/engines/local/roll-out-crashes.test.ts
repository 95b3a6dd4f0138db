import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { ServiceTask } from "../../../src/core/run-state.ts";
import type { LocalEngineParts } from "../../../src/engines/local/local-engine.ts";
import type { TaskObserver } from "../../../src/ports/engine.ts";
import type { RunStore } from "../../../src/ports/run-store.ts";
import {
  type LocalMachine,
  type LocalServerLife,
  leaveMark,
  localMachine,
  until,
} from "../../support/local-machine.ts";
import { processesBelow } from "../../support/orphans.ts";
import { answering } from "../../support/pipelines.ts";
import { type LoadResult, steadyLoad } from "../../support/steady-load.ts";
import { serviceStage, serviceTask } from "../../support/tasks.ts";

const never = new AbortController().signal;
const deaf: TaskObserver = { log: () => {}, note: () => {} };

test("killed at any write of a roll-out, the next server finishes it: no request fails, no process is left", async () => {
  const undisturbed = await crashInRollOut(Number.POSITIVE_INFINITY);
  expect(undisturbed.problems).toEqual([]);
  const problems: string[] = [];
  for (let at = 1; at <= undisturbed.writes; at++) {
    problems.push(...(await crashInRollOut(at)).problems.map((problem) => `write ${at}: ${problem}`));
  }
  process.stdout.write(`a roll-out: ${undisturbed.writes} crash points, ${problems.length} problems\n`);
  expect(undisturbed.writes).toBeGreaterThan(5);
  expect(problems).toEqual([]);
}, 240_000);

test("the table can fail: without the record of what is started aside, its processes are left", async () => {
  const problems: string[] = [];
  for (let at = 1; at <= 4 && problems.length === 0; at++) {
    problems.push(...(await crashInRollOut(at, forgetsAsides)).problems);
  }
  expect(problems.join("\n")).toContain("living programs");
}, 120_000);

type Naive = (store: RunStore) => RunStore;

function forgetsAsides(store: RunStore): RunStore {
  return {
    ...store,
    saveDocument(collection, key, value) {
      if (collection !== "asides") store.saveDocument(collection, key, value);
    },
  };
}

/**
 * kill -9 at the n-th write of the roll-out of release 2 over release 1, under load, and the next server going on with
 * it. In the end release 2 alone must run, and nobody may have noticed anything.
 */
async function crashInRollOut(
  at: number,
  naive: Naive = (store) => store,
): Promise<{ readonly problems: readonly string[]; readonly writes: number }> {
  const machine = await localMachine({ "serve.py": `${leaveMark}${answering("one")}` });
  onTestFinished(() => machine.stop(), 60_000);
  let writes = Number.NEGATIVE_INFINITY;
  const { promise: killed, resolve: onKill } = Promise.withResolvers<void>();
  const life: LocalServerLife = await machine.connect({
    wrapStore: (store) =>
      counting(naive(store), () => {
        writes += 1;
        if (writes !== at) return;
        life.kill();
        onKill();
        throw new Error("killed");
      }),
  });
  const one = releaseOf(machine, 1);
  await life.engine.rollOut(one, deaf, never);
  const load = steadyLoad(urlOf(life), 2);
  await machine.push({ "serve.py": `${leaveMark}${answering("two")}` });
  const two = releaseOf(machine, 2);
  writes = 0;
  const rolled = life.engine.rollOut(two, deaf, never).then(
    () => until(() => life.store.documents("asides").size === 0),
    () => killed,
  );
  await Promise.race([killed, rolled]);
  const made = writes;
  if (made < at) life.kill();

  const next = await machine.connect();
  await next.engine.rollOut(two, deaf, never);
  await until(() => next.store.documents("asides").size === 0, 5).catch(() => {});
  await sleep(50);
  const answered = await load.stop();
  const problems = problemsOf(machine, next, [one, two], answered);
  await machine.stop();
  for (const { pid } of processesBelow(machine.home)) process.kill(pid, "SIGKILL");
  return { problems, writes: made };
}

function counting(store: RunStore, onWrite: () => void): LocalEngineParts["store"] {
  return {
    ...store,
    saveDocument(...document) {
      onWrite();
      store.saveDocument(...document);
    },
    removeDocument(...document) {
      onWrite();
      store.removeDocument(...document);
    },
  };
}

function releaseOf(machine: LocalMachine, release: number): ServiceTask {
  const stage = serviceStage("serve", { replicas: release });
  return machine.of(serviceTask(stage, { release, runId: `run-${release}` }));
}

function urlOf({ engine }: LocalServerLife): string {
  return `${engine.services()[0]?.url}/`;
}

function problemsOf(
  machine: LocalMachine,
  life: LocalServerLife,
  [one, two]: readonly [ServiceTask, ServiceTask],
  { failures, answers }: LoadResult,
): readonly string[] {
  const problems: string[] = [];
  const compare = (what: string, found: unknown, wanted: unknown): void => {
    if (JSON.stringify(found) !== JSON.stringify(wanted)) problems.push(`${what}: ${JSON.stringify(found)}`);
  };
  compare("failed requests", Object.fromEntries(failures), {});
  compare("answers", [...answers.keys()], ["one", "two"]);
  const programs = processesBelow(join(machine.home, "runs")).filter(({ command }) =>
    /^\S*python\S* serve\.py/.test(command),
  );
  compare("living programs", programs.length, 2);
  compare("left aside", [...life.store.documents("asides").keys()], []);
  compare("starts of the first release", machine.pids(one).length, 1);
  compare("starts of the second release", machine.pids(two).length, 2);
  compare(
    "states",
    life.engine.services().map(({ release, state }) => [release, state]),
    [[2, "serving"]],
  );
  return problems;
}
