/** What the validator accepts, as the original does, and a person should know: what can't work, and what looks wrong. */

import { isOrderedByNeeds, needsCycles } from "./dag.ts";
import { isDockerImage } from "./docker-image.ts";
import { kubernetesNameProblem, sanitisedName } from "./naming.ts";
import { plainName } from "./near-name.ts";
import type { Problem, Project, Stage } from "./project.ts";
import { draftOf, type Issue, type ProjectDraft } from "./project-links.ts";
import { pathInRepository } from "./repository-path.ts";
import { requirementFault } from "./requirement-fault.ts";
import { isReservedVariable } from "./stage-variables.ts";

/** Why `create deployment` refuses a project that is valid: what would certainly fail. Without places. */
export function refusals(project: Project): readonly Problem[] {
  return refusedIssues(draftOf(project)).map(({ code, at, text }) => {
    const path = at.join(".");
    return {
      severity: "error",
      code,
      path,
      message: `${path} -> ${text}`,
      line: undefined,
      column: undefined,
    };
  });
}

export function refusedIssues(draft: ProjectDraft): readonly Issue[] {
  return [
    ...repeatedInStep(draft),
    ...serviceHook(draft),
    ...cycles(draft),
    ...badImage(draft),
    ...collisions(draft)
      .filter(({ fatal }) => fatal)
      .map(({ issue }) => issue),
    ...[...draft.stages.values()].flatMap(impossibleValues),
  ];
}

/** What does not keep a deployment from being tried. */
export function adviceIssues(draft: ProjectDraft): readonly Issue[] {
  return [
    ...namespaceAdvice(draft),
    ...nearStageNames(draft),
    ...collisions(draft)
      .filter(({ fatal }) => !fatal)
      .map(({ issue }) => issue),
    ...stageNameAdvice(draft),
    ...unusedStages(draft),
    ...[...draft.stages.values()].flatMap((stage) => [
      ...requirementAdvice(stage),
      ...secretAdvice(stage),
      ...resourceAdvice(stage),
    ]),
  ];
}

function repeatedInStep({ section, steps = [], stages }: ProjectDraft): readonly Issue[] {
  // With needs each stage runs once, however often the DAG names it.
  if (isOrderedByNeeds(stages)) return [];
  return steps.flatMap((step, index) => {
    const seen = new Set<string>();
    const repeated = step.filter((stage) => seen.size === seen.add(stage).size);
    return [...new Set(repeated)].map((stage) => ({
      code: "stage-repeated",
      at: [section, "DAG"],
      text: `names stage ${stage} more than once in step ${index + 1}`,
    }));
  });
}

function serviceHook({ section, runOnFailure, stages }: ProjectDraft): readonly Issue[] {
  if (runOnFailure === undefined || stages.get(runOnFailure)?.kind !== "service") return [];
  const text = `stage ${runOnFailure} is a service; only a batch stage can run on failure`;
  return [{ code: "hook-service", at: [section, "run_on_failure"], text }];
}

function cycles({ steps = [], stages }: ProjectDraft): readonly Issue[] {
  return needsCycles(steps, stages).map((cycle) => ({
    code: "needs-cycle",
    at: ["stages", cycle[0] ?? "", "needs"],
    text: `these stages wait for each other: ${cycle.join(" needs ")}`,
  }));
}

function badImage({ section, pipeline }: ProjectDraft): readonly Issue[] {
  if (pipeline === undefined || isDockerImage(pipeline.dockerImage)) return [];
  const text = `Invalid Docker image specified: ${pipeline.dockerImage}`;
  return [{ code: "docker-image", at: [section, "docker_image"], text }];
}

function impossibleValues(stage: Stage): readonly Issue[] {
  const issue = (code: string, keys: readonly string[], text: string): Issue => ({
    code,
    at: ["stages", stage.name, ...keys],
    text,
  });
  const outside = "leads outside the repository";
  const issues: Issue[] = [];
  if (pathInRepository("", stage.modulePath) === undefined) {
    issues.push(issue("path-outside", ["executable_module_path"], outside));
  }
  if (stage.requirementsFile !== undefined && pathInRepository("", stage.requirementsFile) === undefined) {
    issues.push(issue("path-outside", ["requirements_file"], outside));
  }
  for (const variable of Object.keys(stage.secrets).filter(isReservedVariable)) {
    const text = "is a variable of Bodywork's or the system's own; give the secret's key another name";
    issues.push(issue("reserved-variable", ["secrets", variable], text));
  }
  if (stage.kind === "batch") return issues;
  if (stage.replicas === 0) {
    issues.push(issue("no-replicas", ["service", "replicas"], "a service without replicas never starts"));
  }
  if (stage.maxStartupTimeSeconds === 0) {
    issues.push(
      issue("no-startup-time", ["service", "max_startup_time_seconds"], "no service starts in 0 seconds"),
    );
  }
  if (stage.port < 1 || stage.port > 65535) {
    issues.push(issue("port-range", ["service", "port"], "is not a port: they go from 1 to 65535"));
  }
  return issues;
}

/** Stages whose names become one; fatal when both are services that run, for they would share an address. */
function collisions({
  steps = [],
  stages,
  present,
}: ProjectDraft): readonly { issue: Issue; fatal: boolean }[] {
  const running = new Set(steps.flat());
  const isLive = (name: string): boolean => running.has(name) && stages.get(name)?.kind === "service";
  return [...Map.groupBy(present, (name) => sanitisedName(name).toLowerCase())].flatMap(([shared, names]) => {
    const [first = "", ...others] = names;
    const fatal = names.filter(isLive).length > 1;
    return others.map((name) => ({
      fatal,
      issue: {
        code: "name-collision",
        at: ["stages", name],
        text: `has the same name as stage ${first} once deployed: ${shared}`,
      },
    }));
  });
}

function namespaceAdvice({ section, pipeline }: ProjectDraft): readonly Issue[] {
  if (pipeline === undefined) return [];
  const { name, namespace } = pipeline;
  const key = namespace === name ? "name" : "namespace";
  const fault = kubernetesNameProblem(sanitisedName(namespace), "namespace");
  if (fault === undefined) return [];
  const text = `Kubernetes takes no namespace ${sanitisedName(namespace)}: it ${fault}`;
  return [{ code: "name-illegal", at: [section, key], text }];
}

function stageNameAdvice({ steps = [], stages, runOnFailure }: ProjectDraft): readonly Issue[] {
  const used = new Set([...steps.flat(), ...(runOnFailure === undefined ? [] : [runOnFailure])]);
  return [...used].flatMap((name): Issue[] => {
    const stage = stages.get(name);
    if (stage === undefined) return [];
    const shown = sanitisedName(name);
    const fault = kubernetesNameProblem(shown, stage.kind === "service" ? "service" : "job");
    if (fault === undefined) return [];
    return [
      { code: "name-illegal", at: ["stages", name], text: `Kubernetes takes no name ${shown}: it ${fault}` },
    ];
  });
}

/** A DAG's name that no stage has, but for a hyphen, a capital or a tab. */
function nearStageNames({ section, steps = [], present }: ProjectDraft): readonly Issue[] {
  const byPlainName = new Map([...present].map((name) => [plainName(name), name]));
  return [...new Set(steps.flat())].flatMap((name): Issue[] => {
    const near = present.has(name) ? undefined : byPlainName.get(plainName(name));
    if (near === undefined) return [];
    const text = `names ${JSON.stringify(name)}; did you mean stage ${near}?`;
    return [{ code: "stage-near", at: [section, "DAG"], text }];
  });
}

function unusedStages({ section, steps, stages, runOnFailure }: ProjectDraft): readonly Issue[] {
  if (steps === undefined) return [];
  const running = new Set(steps.flat());
  return [...stages.keys()]
    .filter((name) => !running.has(name) && name !== runOnFailure)
    .map((name) => ({
      code: "stage-unused",
      at: ["stages", name],
      text: `runs in no step: ${section}.DAG does not name it`,
    }));
}

function requirementAdvice({ name, requirements }: Stage): readonly Issue[] {
  return requirements.flatMap((requirement, index): Issue[] => {
    const fault = requirementFault(requirement);
    if (fault === undefined) return [];
    const subject = `stages.${name}.requirements`;
    return [{ ...fault, at: ["stages", name, "requirements", String(index)], subject }];
  });
}

/** Never shows the value: it may be what it looks like. */
function secretAdvice({ name, secrets }: Stage): readonly Issue[] {
  return Object.entries(secrets).flatMap(([key, secret]): Issue[] => {
    const at = ["stages", name, "secrets", key];
    if (looksLikeCredential(secret)) {
      const text =
        "looks like a credential; the name of a secret belongs here. If it is one, revoke it: it is in the repository's history";
      return [{ code: "literal-credential", at, text }];
    }
    if (!/^[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?$/.test(secret)) {
      const text =
        "cannot be the name of a secret on Kubernetes: those have small letters, digits, dots and hyphens";
      return [{ code: "name-illegal", at, text }];
    }
    return [];
  });
}

/** Identifiers of cloud keys, tokens of forges, JSON web tokens, hexadecimal keys, and long mixtures without hyphens. */
function looksLikeCredential(text: string): boolean {
  return (
    /^(?:AKIA|ASIA)[A-Z0-9]{12,}$/.test(text) ||
    /^(?:sk|pk|rk|ghp|gho|glpat|xox[abp]|hf|AIza)[-A-Za-z0-9]{16,}$/.test(text) ||
    /^eyJ[A-Za-z0-9-]+\.[A-Za-z0-9-]+/.test(text) ||
    /^[0-9a-fA-F]{16,}$/.test(text) ||
    /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) ||
    (/^[A-Za-z0-9]{16,}$/.test(text) && /[0-9]/.test(text) && /[A-Za-z]/.test(text))
  );
}

function resourceAdvice(stage: Stage): readonly Issue[] {
  const issues: Issue[] = [];
  if (!Number.isFinite(stage.cpuRequest)) {
    const text = "is no number of cores that a machine could have";
    issues.push({ code: "cpu-request", at: ["stages", stage.name, "cpu_request"], text });
  }
  if (stage.cpuLimit !== undefined && stage.cpuLimit < stage.cpuRequest) {
    const text = `is less than cpu_request, ${stage.cpuRequest}`;
    issues.push({ code: "cpu-limit", at: ["stages", stage.name, "cpu_limit"], text });
  }
  if (stage.memoryLimitMb !== undefined && stage.memoryLimitMb < stage.memoryRequestMb) {
    const text = `is less than memory_request_mb, ${stage.memoryRequestMb}`;
    issues.push({ code: "memory-limit", at: ["stages", stage.name, stage.kind, "memory_limit_mb"], text });
  }
  return issues;
}
