import type { Run, ServiceStatus, StageRun } from "../core/run-state.ts";
import type { CliStream } from "./cli-io.ts";
import { belowFailure } from "./explain-failure.ts";
import { between, bytes, shortDigest, time } from "./format.ts";
import { table } from "./output.ts";
import { printableText } from "./printable-text.ts";

/** What happened in a run, for a person: its stages, what was reused, and what came out. Whole lines. */
export function describeStages(stream: CliStream, run: Run, now: number): string {
  if (run.stages.length === 0) return "";
  return table(stream, {
    head: ["Stage", "Status", "Duration", "Attempts", "Environment", "Outputs"],
    rows: run.stages.map((stage) => [
      stage.node,
      stage.status,
      between(stage.startedAt, stage.endedAt, now),
      stage.attempts.length === 0 ? "" : String(stage.attempts.length),
      describeEnvironment(stage),
      stage.outputs
        .map((output) => `${output.name} ${shortDigest(output.digest)} (${bytes(output.bytes)})`)
        .join("\n"),
    ]),
  });
}

/** Where the services of a deployment answer. Whole lines. */
export function describeUrls(services: readonly ServiceStatus[]): string {
  return services
    .map(({ stage, url, internalUrl }) =>
      printableText(`${stage}: ${url ?? `${internalUrl} (for other stages; not on the ingress)`}`),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** Everything that is recorded of a run, for `get run ID`. Whole lines. */
export function describeRun(stream: CliStream, run: Run, now: number): string {
  const { commit } = run;
  const fields: readonly (readonly [string, string | undefined])[] = [
    ["id", run.id],
    ["status", run.status],
    ["deployment", run.deployment],
    ["namespace", run.namespace],
    ["release", run.release?.toString()],
    ["git_url", commit?.url ?? run.request.url],
    ["git_branch", commit?.branch ?? run.request.branch],
    ["git_commit_hash", commit?.hash],
    ["commit", commit && `${commit.subject} (${commit.author}, ${time(commit.committedAt)})`],
    ["started_by", run.request.startedBy],
    ["created", time(run.createdAt)],
    ["duration", between(run.startedAt, run.endedAt, now)],
    ["code", run.code],
    ["reason", run.reason],
  ];
  const attempts = run.stages.flatMap(describeAttempts);
  const below = belowFailure(run);
  return [
    table(stream, {
      head: ["Field", "Value"],
      rows: fields.flatMap(([name, value]) => (value === undefined || value === "" ? [] : [[name, value]])),
    }),
    describeStages(stream, run, now),
    attempts.map((line) => `${line}\n`).join(""),
    below.map((line) => `${line}\n`).join(""),
  ]
    .filter((part) => part !== "")
    .join("\n");
}

/** The attempts that did not go well, with the end of their logs. */
function describeAttempts(stage: StageRun): readonly string[] {
  return stage.attempts
    .filter(({ reason }) => reason !== undefined)
    .flatMap(({ number, status, reason, lastLines }) => [
      printableText(`${stage.node}, attempt ${number} ${status}: ${reason}`),
      ...belowFailure({ details: lastLines }),
    ]);
}

function describeEnvironment({ environment }: StageRun): string {
  if (environment === undefined) return "";
  return `${environment.built ? "built" : "reused"} (Python ${environment.pythonVersion})`;
}
