import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { asFailure, Failure } from "../../core/failure.ts";
import type { DeployRequest, Run } from "../../core/run-state.ts";
import { withoutCredentials } from "../../core/url-credentials.ts";
import type { Operations } from "../../operations/operations.ts";
import type { CliIo, CliStream, CliWiring } from "../cli-io.ts";
import type { CommandContext, CommandHandler, CommandInput } from "../command-spec.ts";
import { describeStages, describeUrls } from "../describe-run.ts";
import { belowFailure } from "../explain-failure.ts";
import { followRunToEnd } from "../follow-run.ts";
import { between } from "../format.ts";
import { type Interruption, unlessAborted, watchForInterruption } from "../interruption.ts";
import { announceEngine, notice, type OutputFormat, outputFormat, paint, recordText } from "../output.ts";
import { printableText } from "../printable-text.ts";
import { createRunProgress, type RunProgress } from "../run-progress.ts";

/**
 * `create deployment` and `update deployment`: has the server carry a run out and follows it. 0 only when the run
 * succeeded; 130 when a second signal left a run that is being cancelled.
 */
export const deploy: CommandHandler = async (input, context) => {
  const { io, wiring } = context;
  await announceEngine(io, wiring);
  for (const [option, why] of Object.entries(inactiveOptions)) {
    if (input.text(option)) notice(io, "info", `--${option} is inactive here: ${why}.`);
  }
  const interruption = watchForInterruption(io, input.number("timeout"));
  try {
    const operations = await unlessAborted(reachServer(input.text("listen"), wiring), interruption.cancel);
    if (operations === undefined) {
      notice(io, "info", "Aborted! Nothing was started.");
      return 1;
    }
    return await deployAndFollow(readRequest(input, io), operations, input, context, interruption);
  } finally {
    interruption.dispose();
  }
};

/** Options of the original's that mean nothing when the workflow does not run in the cluster, and why. */
const inactiveOptions: Readonly<Record<string, string>> = {
  retries: "how often a stage is tried again is said in bodywork.yaml",
  group: "pipeline.secrets_group in bodywork.yaml names it",
  "secrets-group": "pipeline.secrets_group in bodywork.yaml names it",
  "bodywork-image": "no image runs on this machine",
};

async function reachServer(listen: string | undefined, wiring: CliWiring): Promise<Operations> {
  if (listen !== undefined) await (await wiring.serverControl()).start({ listen });
  return wiring.operations();
}

function readRequest(input: CommandInput, io: CliIo): DeployRequest {
  // An empty option means none, as in the original: scripts write --branch="$BRANCH".
  const keyFile = input.text("ssh") || undefined;
  return {
    url: input.required("GIT_URL"),
    branch: input.text("branch") || undefined,
    sshKeyFile: keyFile === undefined ? undefined : resolve(io.workingFolder, keyFile),
    acceptHostKey: input.text("accept-host-key") || undefined,
    strict: input.flag("strict"),
    startedBy: "command",
  };
}

async function deployAndFollow(
  request: DeployRequest,
  operations: Operations,
  input: CommandInput,
  { io, wiring }: CommandContext,
  interruption: Interruption,
): Promise<number> {
  const format = outputFormat(input);
  const results = format === "table" ? io.stdout : io.stderr;
  const url = withoutCredentials(request.url);
  results.write(rule(results, io.columns, `deploying ${request.branch ?? "default"} branch from ${url}`));

  const accepted = await unlessAborted(
    accept(operations, request, { format, results, io }),
    interruption.leave,
  );
  if (accepted === undefined) {
    notice(
      io,
      "warning",
      "Left before the server has said whether it accepts the run. See with: bodywork get runs",
    );
    return 130;
  }
  if (accepted === "refused") return 1;
  const { runId } = accepted;
  if (input.flag("detach")) {
    const run = await operations.run(runId);
    io.stdout.write(format === "table" ? `run=${runId} accepted.\n` : await recordText(format, run));
    notice(io, "info", `The run goes on by itself. See how it does with: bodywork get run ${runId}`);
    return 0;
  }

  const progress = createRunProgress(io, results);
  const run = await follow(runId, progress, { io, wiring }, interruption).finally(() => progress.end());
  if (run === undefined) return interruption.leave.aborted ? 130 : 1;
  if (format === "table") {
    io.stdout.write(await summary(run, wiring.operations, io));
  } else {
    io.stdout.write(await recordText(format, run));
  }
  return run.status === "succeeded" ? 0 : 1;
}

/** Says why when it is refused; to a program, as any failure is said. */
async function accept(
  operations: Operations,
  request: DeployRequest,
  { format, results, io }: { readonly format: OutputFormat; readonly results: CliStream; readonly io: CliIo },
): Promise<{ readonly runId: string } | "refused"> {
  try {
    return await operations.deploy(request);
  } catch (error) {
    const failure = withWholePath(asFailure(error), request.url, io);
    if (failure.kind === "bug" || failure.code === "usage" || format !== "table") throw failure;
    results.write(failed(results, "failed", failure.message, failure));
    return "refused";
  }
}

/** Where a path begins only we know: the server works elsewhere. */
function withWholePath(failure: Failure, url: string, io: CliIo): Failure {
  if (failure.code !== "repository-url" || !/^\.{1,2}(\/|$)/.test(url)) return failure;
  const { href } = pathToFileURL(resolve(io.workingFolder, url));
  return new Failure(failure.code, failure.message, {
    hint: `For a repository on this machine write ${href}`,
    details: failure.details,
    cause: failure,
  });
}

async function follow(
  runId: string,
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
    rule(out, io.columns),
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

/** A line of `=` with a title in its middle; as wide as the terminal, 80 columns elsewhere. Never cuts the title. */
function rule(stream: CliStream, columns: number | undefined, title = ""): string {
  const width = stream.isTerminal && columns !== undefined ? columns : 80;
  const text = title === "" ? "" : ` ${printableText(title)} `;
  const left = Math.max(3, Math.floor((width - text.length) / 2));
  const right = Math.max(3, width - text.length - left);
  return `${"=".repeat(left)}${text}${"=".repeat(right)}\n`;
}
