import { asFailure } from "../../core/failure.ts";
import type { Run } from "../../core/run-state.ts";
import type { Operations } from "../../operations/operations.ts";
import type { CliIo, CliStream } from "../cli-io.ts";
import type { CommandHandler } from "../command-spec.ts";
import { describeRun } from "../describe-run.ts";
import { between, time } from "../format.ts";
import { notice, outputFormat, printResult, table } from "../output.ts";

/**
 * `get run(s) [NAME_OR_ID]`: one run when the word is a run's id or its beginning, else a list, newest first. A list
 * with nothing in it is an answer: 0. Fails: not-found for an id that no run has.
 */
export const getRun: CommandHandler = async (input, { io, wiring }) => {
  const format = outputFormat(input);
  const word = input.optional("NAME_OR_ID");
  const operations = await wiring.operations();
  const one = word !== undefined && looksLikeRunId(word) ? await findRun(operations, word) : undefined;
  if (one !== undefined) {
    await printResult(io, format, one, (run) => describeRun(io.stdout, run, io.now()));
    return 0;
  }
  const runs = await operations.runs({ deployment: word, limit: input.number("limit") });
  await printResult(io, format, runs, (found) => describeRuns(io.stdout, found, io.now()));
  if (runs.length === 0 && word !== undefined) await tellDeployments(word, operations, io);
  return 0;
};

/** Ids begin with a date: `20261123-190512345-k3f9`. */
function looksLikeRunId(word: string): boolean {
  return /^\d{1,8}$|^\d{8}-\d{0,9}(-[0-9a-z]*)?$/.test(word);
}

/** Who asks for the runs of a deployment that is not there may have mistyped its name. */
async function tellDeployments(word: string, operations: Operations, io: CliIo): Promise<void> {
  const names = (await operations.deployments({})).map(({ name }) => name);
  if (names.includes(word)) return;
  const others = names.length === 0 ? "There are no deployments." : `Deployments here: ${names.join(", ")}.`;
  notice(io, "info", `There is no deployment ${word}. ${others}`);
}

/** Undefined when a deployment may be meant after all. */
async function findRun(operations: Operations, word: string): Promise<Run | undefined> {
  try {
    return await operations.run(word);
  } catch (error) {
    const failure = asFailure(error);
    const named =
      failure.code === "not-found" && (await operations.runs({ deployment: word, limit: 1 })).length > 0;
    if (named) return undefined;
    throw error;
  }
}

/** Which deployment it is of is in the project file; a run that did not get to read it shows its repository. */
function describeRuns(stream: CliStream, runs: readonly Run[], now: number): string {
  if (runs.length === 0) return "No runs found\n";
  return table(stream, {
    head: ["Run", "Deployment", "Status", "Release", "Branch", "Commit", "Created", "Duration", "Reason"],
    rows: runs.map((run) => [
      run.id,
      run.deployment ?? run.request.url,
      run.status,
      run.status === "succeeded" ? String(run.release ?? "") : "",
      run.commit?.branch ?? run.request.branch ?? "",
      run.commit?.shortHash ?? "",
      time(run.createdAt),
      between(run.startedAt, run.endedAt, now),
      run.reason?.split("\n")[0] ?? waiting(run),
    ]),
  });
}

function waiting({ waitingFor }: Run): string {
  return waitingFor === undefined ? "" : `waiting for ${waitingFor} to end`;
}
