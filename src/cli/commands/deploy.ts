import { randomBytes } from "node:crypto";

import { Failure } from "../../core/failure.ts";
import type { DeployRequest, Run } from "../../core/run-state.ts";
import { withoutCredentials } from "../../core/url-credentials.ts";
import type { Operations, RepositoryCredentials } from "../../operations/operations.ts";
import type { CliIo, CliStream, CliWiring } from "../cli-io.ts";
import type { CommandContext, CommandHandler, CommandInput } from "../command-spec.ts";
import { describePlan } from "../describe-plan.ts";
import { describeStages, describeUrls } from "../describe-run.ts";
import { belowFailure } from "../explain-failure.ts";
import { followRunToEnd } from "../follow-run.ts";
import { between } from "../format.ts";
import { type Interruption, unlessAborted, watchForInterruption } from "../interruption.ts";
import { jobRecord } from "../job-records.ts";
import {
  announceEngine,
  notice,
  type OutputFormat,
  outputFormat,
  paint,
  printResult,
  recordText,
} from "../output.ts";
import { printableText } from "../printable-text.ts";
import { rule } from "../rule.ts";
import { createRunProgress, type RunProgress } from "../run-progress.ts";
import { manifestText } from "./configure-cluster.ts";
import {
  imageProblem,
  readCredentials,
  readDeployRequest,
  tellInactiveOptions,
  withWholePath,
} from "./deploy-request.ts";
import { orRefused } from "./refusal.ts";

/**
 * `create deployment`: has the server carry a run out and follows it. 0 only when the run succeeded; 130 when a second
 * signal left a run that is being cancelled.
 */
export const createDeployment: CommandHandler = (input, context) => deploy(input, context, () => {});

/** `update deployment`: the same; says so when there was nothing to update. */
export const updateDeployment: CommandHandler = (input, context) =>
  deploy(input, context, ({ release, deployment }) => {
    if (release !== 1 || deployment === undefined) return;
    const text = `There was no deployment ${deployment} to update: this is the same as to create it.`;
    notice(context.io, "info", text);
  });

/** Is called with what is known of the release, when it is. */
type OnRelease = (of: {
  readonly release: number | undefined;
  readonly deployment: string | undefined;
}) => void;

async function deploy(input: CommandInput, context: CommandContext, onRelease: OnRelease): Promise<number> {
  const { io, wiring } = context;
  const engine = await announceEngine(io, wiring);
  const invalidImage = imageProblem(input);
  if (invalidImage !== undefined) return refuse(invalidImage, resultStream(input, io));
  if (engine === "kubernetes" && input.flag("detach")) {
    throw new Failure(
      "usage",
      "Cannot use --detach on kubernetes: this command itself carries the run out.",
      {
        hint: "To leave it to the cluster: --async",
      },
    );
  }
  tellInactiveOptions(input, engine, io);
  const request = readDeployRequest(input);
  const credentials = await readCredentials(input, request.url, context);
  const interruption = watchForInterruption(io, input.number("timeout"));
  try {
    const listen = engine === "kubernetes" ? undefined : input.text("listen");
    const operations = await unlessAborted(reachServer(listen, wiring), interruption.cancel);
    if (operations === undefined) {
      notice(io, "info", "Aborted! Nothing was started.");
      return 1;
    }
    const order = { request, credentials, operations, input, context, interruption, onRelease };
    if (input.flag("dry-run")) return await printPlan(order);
    if (input.flag("async")) return await orRefused(input, io, () => createJob(order));
    return await deployAndFollow(order);
  } finally {
    interruption.dispose();
  }
}

/** A deployment that is asked for, and what is needed to ask. */
interface Order {
  readonly request: DeployRequest;
  readonly credentials: RepositoryCredentials | undefined;
  readonly operations: Operations;
  readonly input: CommandInput;
  readonly context: CommandContext;
  readonly interruption: Interruption;
  readonly onRelease: OnRelease;
}

async function reachServer(listen: string | undefined, wiring: CliWiring): Promise<Operations> {
  if (listen !== undefined) await (await wiring.serverControl()).start({ listen });
  return wiring.operations();
}

/** `--dry-run`. */
async function printPlan({
  request,
  credentials,
  operations,
  input,
  context: { io },
  interruption,
  onRelease,
}: Order): Promise<number> {
  const planned = await unlessAborted(operations.plan(request, credentials), interruption.cancel).catch(
    (error: unknown) => {
      throw withWholePath(error, request.url, io);
    },
  );
  if (planned === undefined) {
    notice(io, "info", "Aborted!");
    return 1;
  }
  onRelease(planned.plan);
  for (const warning of planned.warnings) notice(io, "warning", warning);
  const format = outputFormat(input);
  if (format === "yaml" && planned.objects !== undefined) {
    io.stdout.write(await manifestText(planned.objects));
    return 0;
  }
  await printResult(io, format, planned, (record) => describePlan(io.stdout, record));
  return 0;
}

/** `--async`. */
async function createJob({
  request,
  credentials,
  operations,
  input,
  context: { io },
}: Order): Promise<number> {
  const name = input.text("async-job-name") || undefined;
  const retries = input.number("retries") ?? 1;
  const job = await operations.createJob({ name, request, retries }, credentials).catch((error: unknown) => {
    throw withWholePath(error, request.url, io);
  });
  await printResult(
    io,
    outputFormat(input),
    jobRecord(job),
    ({ id }) => `Created workflow-job=${printableText(id)}\n`,
  );
  notice(io, "info", `See how it does with: bodywork get deployments --async --logs ${job.id}`);
  return 0;
}

async function deployAndFollow(order: Order): Promise<number> {
  const { request, operations, input, context, interruption } = order;
  const { io, wiring } = context;
  const { format, results } = resultStream(input, io);
  const url = withoutCredentials(request.url);
  if (!io.quiet) {
    results.write(rule(results, io.columns, `deploying ${request.branch ?? "default"} branch from ${url}`));
  }

  const accepted = await unlessAborted(accept(order), interruption.leave);
  if (accepted === undefined) {
    notice(
      io,
      "warning",
      "Left before the server has said whether it accepts the run. See with: bodywork get runs",
    );
    return 130;
  }
  if (accepted === "refused") return 1;
  const { runId, isLate } = accepted;
  if (input.flag("detach")) {
    const run = await operations.run(runId);
    io.stdout.write(format === "table" ? `run=${runId} accepted.\n` : await recordText(format, run));
    const text = `The run goes on by itself. See how it does with: bodywork get run ${runId}`;
    notice(io, "info", text);
    return 0;
  }

  const progress = createRunProgress(io, results);
  const run = await follow({ runId, isLate }, progress, context, interruption).finally(() => progress.end());
  if (run === undefined) return interruption.leave.aborted ? 130 : 1;
  order.onRelease(run);
  if (format === "table") {
    io.stdout.write(await summary(run, wiring.operations, io));
  } else {
    io.stdout.write(await recordText(format, run));
  }
  return run.status === "succeeded" ? 0 : 1;
}

/** The form of the result, and where what belongs to it goes that is not the record. */
function resultStream(
  input: CommandInput,
  io: CliIo,
): { readonly format: OutputFormat; readonly results: CliStream } {
  const format = outputFormat(input);
  return { format, results: format === "table" ? io.stdout : io.stderr };
}

/** Milliseconds for which a request is repeated whose answer was lost. */
const longestLoss = 60_000;
const repeatDelay = 2_000;

interface AcceptedRun {
  readonly runId: string;
  /** It may have gone on for a while before we heard of it. */
  readonly isLate: boolean;
}

/** Repeats the request when its answer is lost: by its key the server knows it again, and accepts it once. */
async function accept(order: Order): Promise<AcceptedRun | "refused"> {
  const { credentials, operations, input, context, interruption } = order;
  const { io } = context;
  const request: DeployRequest = { ...order.request, key: randomBytes(16).toString("hex") };
  for (let lostAt: number | undefined; ; ) {
    try {
      const { runId } = await operations.deploy(request, credentials);
      return { runId, isLate: lostAt !== undefined };
    } catch (error) {
      const failure = withWholePath(error, request.url, io);
      if (failure.code !== "server-unreachable") {
        refuse(failure, resultStream(input, io));
        return "refused";
      }
      if (lostAt === undefined) {
        if (wasNeverHeard(failure)) throw failure;
        lostAt = io.now();
        notice(io, "warning", `${failure.message} Asking again; nothing is deployed twice…`);
      }
      if (interruption.leave.aborted || io.now() - lostAt >= longestLoss) throw mayBeAccepted(failure);
      await io.sleep(repeatDelay, interruption.leave);
    }
  }
}

/** Nobody was there to accept anything. */
function wasNeverHeard({ cause }: Failure): boolean {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? "";
  return /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EPROTO)$|CERT|ALTNAME|UNABLE_TO/.test(
    code,
  );
}

/** The answer may have been lost, and not the question. */
function mayBeAccepted({ code, message, cause }: Failure): Failure {
  return new Failure(code, message, {
    hint: "If the run was accepted all the same, it goes on. See with: bodywork get runs",
    cause,
  });
}

/** Says why it is refused; to a program, as any failure is said. */
function refuse(
  failure: Failure,
  { format, results }: { readonly format: OutputFormat; readonly results: CliStream },
): number {
  if (failure.kind === "bug" || failure.code === "usage" || format !== "table") throw failure;
  results.write(failed(results, "failed", failure.message, failure));
  return 1;
}

async function follow(
  { runId, isLate }: AcceptedRun,
  progress: RunProgress,
  { io, wiring }: CommandContext,
  { cancel, leave }: Interruption,
): Promise<Run | undefined> {
  const later = `bodywork get run ${runId}`;
  cancel.addEventListener("abort", () => tellCancelling(), { once: true });
  if (cancel.aborted) tellCancelling();
  const following = followRunToEnd(runId, {
    io,
    operations: () => wiring.operations(),
    onEvent: (event) => progress.show(event),
    onLost: () =>
      progress.note("warning", "The connection to the server is lost; the run goes on. Connecting again…"),
    isLate,
    cancel,
    leave,
  });
  const outcome = await unlessAborted(following, leave);
  if (outcome === undefined && leave.aborted) {
    progress.note(
      "warning",
      `Left run ${runId} to be cancelled by the server. See how it ended with: ${later}`,
    );
  } else if (outcome === undefined) {
    progress.note(
      "error",
      `The server does not answer, so the end of run ${runId} is not known here.\nSee whether it runs with: bodywork server status\nStart it with: bodywork server start\nSee how the run ended with: ${later}`,
    );
  }
  return outcome;

  function tellCancelling(): void {
    progress.note(
      "warning",
      `Cancelling run ${runId} (${String(cancel.reason)}) and putting back what it changed. Once more leaves it to the server.`,
    );
  }
}

async function summary(run: Run, operations: () => Promise<Operations>, io: CliIo): Promise<string> {
  const out = io.stdout;
  const stages = describeStages(out, run, io.now());
  if (run.status !== "succeeded") {
    return `${stages}${failed(out, run.status === "cancelled" ? "cancelled" : "failed", run.reason ?? run.status, run)}`;
  }
  const done = `release ${run.release ?? ""} of ${run.deployment ?? ""} in ${between(run.createdAt, run.endedAt, io.now())} (run ${run.id})`;
  return [
    `${paint(out).green("Deployment successful")}\n`,
    stages,
    `${printableText(done)}\n`,
    await urls(run, operations),
    io.quiet ? "" : rule(out, io.columns),
  ].join("");
}

async function urls(run: Run, operations: () => Promise<Operations>): Promise<string> {
  try {
    const views = await (await operations()).deployments({ name: run.deployment, namespace: run.namespace });
    return describeUrls(views.flatMap(({ services }) => services));
  } catch {
    return ""; // The deployment succeeded: a view that can't be had now must not turn that around.
  }
}

function failed(
  stream: CliStream,
  how: "failed" | "cancelled",
  reason: string,
  more: { readonly details: readonly string[]; readonly hint?: string | undefined },
): string {
  const first = paint(stream).red(`Deployment ${how} --> ${printableText(reason)}`);
  return `${[first, ...belowFailure(more)].join("\n")}\n`;
}
