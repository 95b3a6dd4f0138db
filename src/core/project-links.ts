/** How the parts of a project file must fit together: names in the DAG, the failure hook, needs, outputs and inputs. */

import { stageOrder } from "./dag.ts";
import type { Pipeline, Project, Stage, StageInput } from "./project.ts";
import { schemaVersions } from "./project-schema.ts";
import { folderOf, pathInRepository } from "./repository-path.ts";

/** What is known of a project, be its file sound or not. */
export interface ProjectDraft {
  /** What the file calls the section. */
  readonly section: "pipeline" | "project";
  /** Undefined when its section has faults. */
  readonly pipeline: Pick<Pipeline, "name" | "namespace" | "dockerImage"> | undefined;
  /** Undefined when the DAG can't be read. */
  readonly steps: Pipeline["steps"] | undefined;
  readonly runOnFailure: string | undefined;
  /** The stages without faults of their own. */
  readonly stages: ReadonlyMap<string, Stage>;
  /** Names of all stages that are either batch or service. */
  readonly present: ReadonlySet<string>;
}

/** Something about a project that has no place in a file yet. */
export interface Issue {
  /** Stable, kebab-case. */
  readonly code: string;
  /** Keys from the top of the file to what it is about. */
  readonly at: readonly string[];
  /** What messages call that, where it is not `at`. */
  readonly subject?: string;
  readonly text: string;
}

export function draftOf(project: Project): ProjectDraft {
  const { pipeline, stages } = project;
  return {
    section: schemaVersions[project.schemaVersion].section,
    pipeline,
    steps: pipeline.steps,
    runOnFailure: pipeline.runOnFailure,
    stages,
    present: new Set(stages.keys()),
  };
}

/** Every broken link, as errors. */
export function linkIssues(draft: ProjectDraft): readonly Issue[] {
  return [
    ...dagIssues(draft),
    ...hookIssues(draft),
    ...needsIssues(draft),
    ...outputIssues(draft),
    ...inputIssues(draft),
  ];
}

function dagIssues({ section, steps = [], present }: ProjectDraft): readonly Issue[] {
  const unknown = steps.flat().filter((stage) => !present.has(stage));
  return unknown.map((stage) => ({
    code: "stage-missing",
    at: [section, "DAG"],
    subject: `${section}.workflow`,
    text: `cannot find valid stage @ stages.${stage}`,
  }));
}

function hookIssues({ section, runOnFailure, present, stages }: ProjectDraft): readonly Issue[] {
  if (runOnFailure === undefined) return [];
  const at = [section, "run_on_failure"];
  if (!present.has(runOnFailure)) {
    const text = `cannot find valid stage: ${runOnFailure} to run on workflow failure.`;
    return [{ code: "stage-missing", at, text }];
  }
  const inputs = stages.get(runOnFailure)?.inputs ?? [];
  if (inputs.length === 0) return [];
  const text =
    "a stage that runs on failure cannot have inputs: nobody knows what was made before the failure";
  return [{ code: "hook-inputs", at: ["stages", runOnFailure, "inputs"], text }];
}

function needsIssues(draft: ProjectDraft): readonly Issue[] {
  const running = runningStages(draft);
  return [...draft.stages.values()].flatMap((stage) =>
    (stage.needs ?? []).flatMap((need, index): Issue[] => {
      const text = whyNot(
        need,
        running === undefined || running.has(stage.name) ? running : undefined,
        draft,
      );
      const at = ["stages", stage.name, "needs", String(index)];
      return text === undefined
        ? []
        : [{ code: "need-missing", at, subject: `stages.${stage.name}.needs`, text }];
    }),
  );
}

function outputIssues({ stages }: ProjectDraft): readonly Issue[] {
  return [...stages.values()].flatMap((stage): Issue[] => {
    const paths = Object.entries(stage.outputs);
    if (stage.kind === "service" && paths.length > 0) {
      const text = "only a batch stage has outputs: a service has no end at which they would be whole";
      return [{ code: "service-outputs", at: ["stages", stage.name, "outputs"], text }];
    }
    return paths
      .filter(([, path]) => leadsOutside(stage, path))
      .map(([name]) => ({
        code: "path-outside",
        at: ["stages", stage.name, "outputs", name],
        text: outside,
      }));
  });
}

function inputIssues(draft: ProjectDraft): readonly Issue[] {
  const { stages, steps, runOnFailure } = draft;
  const running = runningStages(draft);
  // A stage with faults of its own may be what the order depends on.
  const isBefore =
    steps === undefined || stages.size < draft.present.size ? undefined : stageOrder(steps, stages);
  return [...stages.values()].flatMap((stage) =>
    stage.inputs.flatMap((input): Issue[] => {
      const runs = running?.has(stage.name) === true && stage.name !== runOnFailure;
      const text =
        whyNot(input.fromStage, runs ? running : undefined, draft) ??
        outputFault(stage, input, stages.get(input.fromStage)) ??
        (runs && isBefore?.(input.fromStage, stage.name) === false
          ? `stage ${input.fromStage} does not run before ${stage.name}`
          : undefined);
      return text === undefined
        ? []
        : [{ code: "input-missing", at: ["stages", stage.name, "inputs", input.name], text }];
    }),
  );
}

/** Why a stage that is referred to is not there; `running` undefined when it need not run. */
function whyNot(
  stage: string,
  running: ReadonlySet<string> | undefined,
  { section, present }: ProjectDraft,
): string | undefined {
  if (!present.has(stage)) return `cannot find valid stage: ${stage}`;
  if (running !== undefined && !running.has(stage))
    return `stage ${stage} is not in ${section}.DAG, so it does not run`;
  return undefined;
}

function outputFault(stage: Stage, input: StageInput, producer: Stage | undefined): string | undefined {
  // A producer with faults of its own: its outputs are not known.
  if (producer === undefined) return undefined;
  if (!Object.hasOwn(producer.outputs, input.fromOutput)) {
    const names = Object.keys(producer.outputs);
    const known = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
    return `stage ${producer.name} has no output ${input.fromOutput}: ${known}`;
  }
  return leadsOutside(stage, input.path) ? outside : undefined;
}

const outside = "leads outside the repository";

/** Paths of inputs and outputs are relative to the module's folder. */
function leadsOutside(stage: Stage, path: string): boolean {
  return pathInRepository(folderOf(stage.modulePath), path) === undefined;
}

function runningStages({ steps }: ProjectDraft): ReadonlySet<string> | undefined {
  return steps && new Set(steps.flat());
}
