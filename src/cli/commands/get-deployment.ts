import { sanitisedName } from "../../core/naming.ts";
import type { ServiceStatus } from "../../core/run-state.ts";
import type { DeploymentView } from "../../operations/operations.ts";
import type { CliStream } from "../cli-io.ts";
import type { CommandHandler } from "../command-spec.ts";
import { notice, outputFormat, printResult, table } from "../output.ts";
import { printableText } from "../printable-text.ts";

/**
 * `get deployment(s) [NAME] [SERVICE]`. JSON and YAML give the deployments as a list; with SERVICE that service alone,
 * `null` when there is none. That nothing was found is an answer: 0, as in the original.
 */
export const getDeployment: CommandHandler = async (input, { io, wiring }) => {
  const format = outputFormat(input);
  const name = input.optional("NAME");
  const service = input.optional("SERVICE");
  const views = await (await wiring.operations()).deployments({
    name,
    namespace: input.text("namespace") || undefined,
  });
  if (service === undefined) {
    await printResult(io, format, views, (found) => describeDeployments(io.stdout, found));
  } else {
    await printResult(io, format, findService(views, service) ?? null, (one) => {
      if (one !== null) return describeService(io.stdout, one);
      return views.length === 0 ? noDeployments : printableText(`Could not find service=${service}.\n`);
    });
  }
  const stopped = views.flatMap(({ services }) => services).filter(({ state }) => state === "stopped");
  if (stopped.length > 0) {
    notice(io, "warning", "Some services are stopped. Bring them back with: bodywork server start");
  }
  return 0;
};

function findService(views: readonly DeploymentView[], service: string): ServiceStatus | undefined {
  const wanted = sanitisedName(service);
  return views
    .flatMap(({ services }) => services)
    .find(({ stage, name }) => stage === service || name === wanted);
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
function describeService(stream: CliStream, service: ServiceStatus): string {
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
    ["reason", service.reason ?? ""],
  ];
  return table(stream, {
    title: `${service.deployment}/${service.name}`,
    head: ["Field", "Value"],
    rows: fields.map(([name, value]) => [name, value]),
  });
}
