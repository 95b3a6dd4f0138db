import { stageGraph } from "./dag.ts";
import type { Project, Stage } from "./project.ts";
import type { RunCommit, ServiceStatus } from "./run-state.ts";
import type { SecretReference } from "./secret-state.ts";
import { type StageSecrets, secretsOfStage } from "./stage-secrets.ts";

/** What the plan is made from; nothing else decides what a run does. */
export interface PlanInput {
  readonly project: Project;
  readonly commit: RunCommit;
  /** The release number of what is live now; 0 when nothing is. */
  readonly lastRelease: number;
  /** Every service that the engine has in the pipeline's namespace. */
  readonly services: readonly ServiceStatus[];
  /** Path in the repository → content, for the stages that name a requirements file. */
  readonly requirementsFiles: ReadonlyMap<string, string>;
  readonly secretsGroup: string;
  readonly secrets: StageSecrets;
  /** Of the request; that of the project file when undefined. */
  readonly image?: string | undefined;
}

/** Everything a run will do, before anything is done. Plain data. */
export interface Plan {
  readonly deployment: string;
  readonly namespace: string;
  /** The group its secrets, and the ssh key of its repository, are in. */
  readonly secretsGroup: string;
  /** The number the release gets when the run succeeds. */
  readonly release: number;
  /** The image that stages run in, as it is asked for. The local engine has no use for it. */
  readonly image: string;
  readonly nodes: readonly PlannedStage[];
  /** Services of the previous release that this commit has no stage for; they go when the run has succeeded. */
  readonly removals: readonly ServiceStatus[];
  /** Stage to run when the run fails. */
  readonly onFailure: PlannedStage | undefined;
}

export interface PlannedStage {
  /** Unique in the run. */
  readonly node: string;
  readonly stage: Stage;
  /** Nodes that must have succeeded before. */
  readonly after: readonly string[];
  readonly environment: {
    readonly requirements: readonly string[];
    readonly requirementsFile: string | undefined;
    readonly python: string | undefined;
    readonly notebook: boolean;
  };
  /** Added to the stage's environment. */
  readonly variables: Readonly<Record<string, string>>;
  /** Variable → where its value is. */
  readonly secrets: Readonly<Record<string, SecretReference>>;
}

/** Decides what a run of this commit does. The project must have no problems that refuse it. */
export function planDeployment(input: PlanInput): Plan {
  const { project, commit } = input;
  const { name, namespace, runOnFailure } = project.pipeline;
  const plannedStage = (node: string, stage: Stage, after: readonly string[]): PlannedStage => ({
    node,
    stage,
    after,
    environment: {
      requirements: stage.requirements,
      requirementsFile:
        stage.requirementsFile === undefined
          ? undefined
          : input.requirementsFiles.get(stage.requirementsFile),
      python: project.pipeline.python,
      notebook: stage.modulePath.endsWith(".ipynb"),
    },
    variables: { GIT_COMMIT_HASH: commit.shortHash },
    secrets: secretsOfStage(input.secrets, stage.name),
  });

  const nodes = stageGraph(project).flatMap(({ id, stage, after }) => {
    const found = project.stages.get(stage);
    return found === undefined ? [] : [plannedStage(id, found, after)];
  });
  const serving = new Set(
    nodes.filter(({ stage }) => stage.kind === "service").map(({ stage }) => stage.name),
  );
  const hook = runOnFailure === undefined ? undefined : project.stages.get(runOnFailure);
  return {
    deployment: name,
    namespace,
    secretsGroup: input.secretsGroup,
    release: input.lastRelease + 1,
    image: input.image ?? project.pipeline.dockerImage,
    nodes,
    removals: input.services.filter(
      (service) =>
        service.namespace === namespace && service.deployment === name && !serving.has(service.stage),
    ),
    onFailure: hook === undefined ? undefined : plannedStage(`on failure: ${hook.name}`, hook, []),
  };
}

/** Everything that a run may start: the stages of the DAG, and the failure stage. */
export function plannedStages({ nodes, onFailure }: Plan): readonly PlannedStage[] {
  return onFailure === undefined ? nodes : [...nodes, onFailure];
}
