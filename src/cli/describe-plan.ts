import type { PlannedStage } from "../core/plan.ts";
import type { PlannedDeployment } from "../operations/operations.ts";
import type { CliStream } from "./cli-io.ts";
import { table } from "./output.ts";
import { printableText } from "./printable-text.ts";

/** What a deployment would do, for a person. Whole lines. */
export function describePlan(stream: CliStream, { commit, plan }: PlannedDeployment): string {
  const steps = stepsOf(plan.nodes);
  const services = plan.nodes.filter(({ stage }) => stage.kind === "service").map(({ node }) => node);
  const lines = [
    `Would make release ${plan.release} of ${plan.deployment} in namespace ${plan.namespace}`,
    `commit ${commit.shortHash} of ${commit.branch ?? "no branch"}: ${commit.subject} (${commit.author})`,
  ];
  const stages = table(stream, {
    head: ["Step", "Stage", "Kind", "After", "Environment", "Secrets"],
    rows: [
      ...plan.nodes.map((planned) => row(String(steps.get(planned.node)), planned)),
      ...(plan.onFailure === undefined ? [] : [row("", plan.onFailure)]),
    ],
  });
  const changes = [
    `Services to roll out: ${listOf(services)}`,
    `Services to be removed: ${listOf(plan.removals.map(({ name, commit: of }) => `${name} (of ${of})`))}`,
    "Nothing was changed.",
  ];
  return [...lines.map(asLine), stages, ...changes.map(asLine)].join("");
}

/** A stage is in the step after the last of those it waits for, from 1. */
function stepsOf(nodes: readonly PlannedStage[]): ReadonlyMap<string, number> {
  const steps = new Map<string, number>();
  const byNode = new Map(nodes.map((planned) => [planned.node, planned]));
  const stepOf = (node: string): number => {
    const known = steps.get(node);
    if (known !== undefined) return known;
    const step = 1 + Math.max(0, ...(byNode.get(node)?.after ?? []).map(stepOf));
    steps.set(node, step);
    return step;
  };
  for (const { node } of nodes) stepOf(node);
  return steps;
}

function row(step: string, planned: PlannedStage): readonly string[] {
  const { stage, environment, secrets } = planned;
  const kind =
    stage.kind === "service"
      ? `service, ${stage.replicas} × port ${stage.port}${stage.ingress ? ", ingress" : ""}`
      : "batch";
  return [
    step,
    planned.node,
    kind,
    planned.after.join(", "),
    [
      `Python ${environment.python ?? "3"}`,
      ...environment.requirements,
      ...(stage.requirementsFile === undefined ? [] : [`-r ${stage.requirementsFile}`]),
    ].join("\n"),
    Object.entries(secrets)
      .map(([variable, { group, name, version }]) => `${variable}: ${group}/${name} version ${version}`)
      .join("\n"),
  ];
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(", ");
}

function asLine(text: string): string {
  return `${printableText(text)}\n`;
}
