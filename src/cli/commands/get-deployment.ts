import { meantJobId } from "../../core/job-name.ts";
import { sanitisedName } from "../../core/naming.ts";
import type { ServiceStatus } from "../../core/run-state.ts";
import type { ChangedSecret } from "../../core/secret-state.ts";
import type { DeploymentView, Operations } from "../../operations/operations.ts";
import type { CliIo, CliStream } from "../cli-io.ts";
import type { CommandHandler, CommandInput } from "../command-spec.ts";
import { printJobLog } from "../job-log.ts";
import { jobRecord } from "../job-records.ts";
import { jobTable } from "../job-tables.ts";
import { notice, outputFormat, printResult, table } from "../output.ts";
import { printableText } from "../printable-text.ts";

/**
 * `get deployment(s) [NAME] [SERVICE]`. JSON and YAML give the deployments as a list; with SERVICE that service alone,
 * `null` when there is none. With `--async` the jobs, or the log of one. That nothing was found is an answer: 0, as in
 * the original; but for a log that is not there.
 */
export const getDeployment: CommandHandler = async (input, { io, wiring }) => {
  const operations = await wiring.operations();
  if (input.flag("async")) return getJobs(input, operations, io);
  if (input.text("logs")) {
    notice(
      io,
      "info",
      "--logs is inactive here: only a job has such logs (--async). See: bodywork logs NAME",
    );
  }
  const views = await operations.deployments({
    name: input.optional("NAME"),
    namespace: input.text("namespace") || undefined,
  });
  await printDeployments(input, views, io);
  tellOf(views, io);
  const elsewhere = await wiring.elsewhere();
  if (elsewhere !== undefined) notice(io, "info", elsewhere);
  return 0;
};

/** A NAME shows that job alone, by its name or by its id. */
async function getJobs(input: CommandInput, operations: Operations, io: CliIo): Promise<number> {
  const format = outputFormat(input);
  const id = input.text("logs");
  if (id) return printJobLog(id, format, operations, io);
  const name = input.optional("NAME");
  const jobs = (await operations.jobs({ cronjob: null })).filter(
    ({ id: known }) => name === undefined || known === meantJobId(name),
  );
  await printResult(io, format, jobs.map(jobRecord), () =>
    jobs.length === 0
      ? "No workflow-jobs found\n"
      : jobs.map((job) => jobTable(io.stdout, job, io.now())).join("\n"),
  );
  return 0;
}

async function printDeployments(
  input: CommandInput,
  views: readonly DeploymentView[],
  io: CliIo,
): Promise<void> {
  const format = outputFormat(input);
  const service = input.optional("SERVICE");
  if (service === undefined) {
    await printResult(io, format, views, (found) => describeDeployments(io.stdout, found));
    return;
  }
  const found = findService(views, service);
  await printResult(io, format, found?.service ?? null, () => {
    if (found !== undefined) return describeService(io.stdout, found.service, found.view.changedSecrets);
    return views.length === 0 ? noDeployments : printableText(`Could not find service=${service}.\n`);
  });
}

function findService(
  views: readonly DeploymentView[],
  named: string,
): { readonly view: DeploymentView; readonly service: ServiceStatus } | undefined {
  const wanted = sanitisedName(named);
  return views
    .flatMap((view) => view.services.map((service) => ({ view, service })))
    .find(({ service: { stage, name } }) => stage === named || name === wanted);
}

/** What wants doing. */
function tellOf(views: readonly DeploymentView[], io: CliIo): void {
  if (views.some(({ services }) => services.some(({ state }) => state === "stopped"))) {
    notice(io, "warning", "Some services are stopped. Bring them back with: bodywork server start");
  }
  for (const { name, liveRelease, changedSecrets } of views) {
    if (changedSecrets.length === 0) continue;
    const secrets = changedSecrets.map(describeChange).join(", ");
    notice(
      io,
      "info",
      `Release ${liveRelease ?? ""} of ${name} was made with other secrets than there are now: ${secrets}. ${whatComesNext(changedSecrets)}`,
    );
  }
}

function whatComesNext(changed: readonly ChangedSecret[]): string {
  return changed.every(({ change }) => change === "deleted")
    ? "The next deployment is refused unless they are created again, or no stage names them any more."
    : "The next deployment uses the new ones.";
}

function describeChange({ group, name, change }: ChangedSecret): string {
  return `${group}/${name} (${change})`;
}

const noDeployments = "No deployments found\n";

function describeDeployments(stream: CliStream, views: readonly DeploymentView[]): string {
  if (views.length === 0) return noDeployments;
  return table(stream, {
    title: "operational services",
    head: ["Deployment Name / Service Name", "Git Repository URL", "Release", "State", "Ready", "URL"],
    rows: views.flatMap((view) =>
      view.services.length === 0
        ? [[view.name, view.gitUrl, String(view.liveRelease ?? ""), "no services", "", ""]]
        : view.services.map((service) => [
            `${view.name}/${service.name}`,
            service.gitUrl,
            String(service.release),
            service.state,
            `${service.readyReplicas}/${service.wantedReplicas}`,
            service.url ?? "",
          ]),
    ),
  });
}

/** The original's fields under its names, in its order, then ours. */
function describeService(
  stream: CliStream,
  service: ServiceStatus,
  changedSecrets: readonly ChangedSecret[],
): string {
  const fields: readonly (readonly [string, string])[] = [
    ["name", `${service.deployment}/${service.name}`],
    ["namespace", service.namespace],
    ["service_exposed", "True"],
    ["service_url", `http://${service.name}`],
    ["service_port", String(service.port)],
    ["available_replicas", String(service.readyReplicas)],
    ["unavailable_replicas", String(Math.max(0, service.wantedReplicas - service.readyReplicas))],
    ["git_url", service.gitUrl],
    ["git_branch", service.branch ?? ""],
    ["git_commit_hash", service.commit],
    ["has_ingress", service.ingressRoute === undefined ? "False" : "True"],
    ["ingress_route", service.ingressRoute ?? "none"],
    ["release", String(service.release)],
    ["state", service.state],
    ["url", service.url ?? "none"],
    [
      "replicas",
      service.replicas
        .map(
          ({ id, state, address, pid }) =>
            `${id}: ${state} at ${address}${pid === undefined ? "" : ` (pid ${pid})`}`,
        )
        .join("\n"),
    ],
    ["restarts", String(service.restarts)],
    ["reason", service.reason ?? "None"],
    ...(changedSecrets.length === 0
      ? []
      : [["changed_secrets", changedSecrets.map(describeChange).join("\n")] as const]),
  ];
  return table(stream, {
    title: `${service.deployment}/${service.name}`,
    head: ["Field", "Value"],
    rows: fields.map(([name, value]) => [name, value]),
  });
}
