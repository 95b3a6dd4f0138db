import { Failure } from "../core/failure.ts";
import { parseProject } from "../core/parse-project.ts";
import { type Plan, planDeployment } from "../core/plan.ts";
import type { Problem, Project } from "../core/project.ts";
import { refusals } from "../core/project-rules.ts";
import type { RunCommit } from "../core/run-state.ts";
import type { RunParts } from "./carry-out-run.ts";
import type { RunRecorder } from "./record-run.ts";

/** The name of the project file in a repository's root. */
export const projectFileName = "bodywork.yaml";

interface PreparedRun {
  readonly deployment: string;
  readonly namespace: string;
  /** Decided when called: what is live may have changed while the run waited for its turn. Fails: namespace-taken. */
  plan(): Plan;
}

/**
 * From a request to a commit and a project that may be deployed. Fails with everything that is wrong with the file at
 * once; nothing is changed yet.
 */
export async function prepareRun(
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<PreparedRun> {
  const commit = await resolveCommit(recorder, parts, signal);
  const project = await readProject(commit, recorder, parts);
  const { name, namespace } = project.pipeline;
  if (recorder.run.namespace === undefined) recorder.update({ deployment: name, namespace });
  refuseMissingSecrets(project);
  const requirementsFiles = await readRequirementsFiles(project, commit, parts);
  return {
    deployment: name,
    namespace,
    plan() {
      refuseForeignNamespace(project, commit, parts);
      return planDeployment({
        project,
        commit,
        // A run that is gone on with keeps its number, also when its release was recorded before the crash.
        lastRelease:
          recorder.run.release !== undefined
            ? recorder.run.release - 1
            : (parts.store.releases(namespace, name)[0]?.number ?? 0),
        services: parts.engine.services(),
        requirementsFiles,
      });
    },
  };
}

async function resolveCommit(
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<RunCommit> {
  const { run } = recorder;
  if (run.commit !== undefined) return run.commit;
  const { request } = run;
  const commit = await parts.source.resolve(
    {
      url: parts.access.url ?? request.url,
      ref: request.branch,
      sshKeyFile: request.sshKeyFile,
      sshKey: parts.access.sshKey,
      acceptHostKey: request.acceptHostKey,
    },
    signal,
  );
  await parts.source.keep(commit, `run/${run.id}`);
  recorder.update({ commit });
  recorder.notice(
    "info",
    `Commit ${commit.shortHash} of ${commit.branch ?? "no branch"}: ${commit.subject} (${commit.author})`,
  );
  return commit;
}

async function readProject(commit: RunCommit, recorder: RunRecorder, parts: RunParts): Promise<Project> {
  const text = await parts.source.readFile(commit, projectFileName);
  if (text === undefined) {
    throw new Failure(
      "project-missing",
      `Cannot deploy ${commit.url}: commit ${commit.shortHash} has no ${projectFileName} in its root. No config file found.`,
      { hint: `Add ${projectFileName} to the root of the repository.` },
    );
  }
  const files = await parts.source.listFiles(commit);
  const { project, problems } = parseProject(text, { fileName: projectFileName, files });
  const refused = project === undefined ? [] : refusals(project);
  // The validator has warned of what is refused here, with its line.
  const isRefused = ({ code, path, message }: Problem): boolean =>
    refused.some((other) => other.code === code && other.path === path && other.message === message);
  const warnings = problems.filter((problem) => problem.severity === "warning" && !isRefused(problem));
  const errors = problems.filter((problem) => problem.severity === "error" || isRefused(problem));
  const fatal = recorder.run.request.strict ? [...errors, ...warnings] : errors;
  const withPlace = (problem: (typeof problems)[number]): string =>
    problem.line === undefined
      ? problem.message
      : `${problem.message} (${projectFileName}:${problem.line}:${problem.column ?? 1})`;
  if (project === undefined || fatal.length > 0) {
    const [first, ...others] = fatal;
    // A problem of the file as a whole (it is no YAML) says all by itself.
    const isWhole = first?.path === "";
    const found = isWhole
      ? withPlace(first)
      : `Bodywork config file has missing or invalid parameters: ${shortened(fatal.map(({ message }) => message))}`;
    throw new Failure("project-invalid", `Cannot deploy ${commit.url} at ${commit.shortHash}: ${found}`, {
      details: (isWhole ? others : fatal).map(withPlace),
      hint: "Check it with: bodywork validate --check-files",
    });
  }
  // A run that is gone on with has told them already.
  if (recorder.run.namespace === undefined) {
    for (const warning of warnings) recorder.notice("warning", withPlace(warning));
  }
  return project;
}

/** All of a few, else the first and how many more. */
function shortened(messages: readonly string[]): string {
  if (messages.length <= 3) return messages.join(", ");
  return `${messages[0]} and ${messages.length - 1} more`;
}

/** Two repositories must not deploy into one namespace: they would replace each other's services. */
function refuseForeignNamespace(project: Project, commit: RunCommit, parts: RunParts): void {
  const { namespace } = project.pipeline;
  const foreign = parts.store
    .deployments()
    .find(
      (other) => other.namespace === namespace && sameRepository(other.gitUrl) !== sameRepository(commit.url),
    );
  if (foreign === undefined) return;
  throw new Failure(
    "namespace-taken",
    `A project with the same name (or namespace): ${namespace} originating from a different git repository (${foreign.gitUrl}) is deployed already.`,
    {
      hint: `Choose another pipeline.name or pipeline.namespace, or remove the other: bodywork delete deployment ${foreign.name}`,
    },
  );
}

/** `…/x`, `…/x/` and `…/x.git` are one repository. */
function sameRepository(url: string): string {
  return url.replace(/\/+$/, "").replace(/\.git$/, "");
}

function refuseMissingSecrets(project: Project): void {
  const { namespace } = project.pipeline;
  const missing = [...project.stages.values()].flatMap((stage) =>
    Object.entries(stage.secrets).map(
      ([key, secret]) => `cannot find key=${key} in secret=${secret} in namespace=${namespace}`,
    ),
  );
  if (missing.length === 0) return;
  throw new Failure("secret-missing", `Cannot deploy "${project.pipeline.name}": ${missing.join("; ")}.`, {
    hint: "The local engine keeps no secrets in this version; deploy pipelines that need them to a cluster.",
  });
}

async function readRequirementsFiles(
  project: Project,
  commit: RunCommit,
  parts: RunParts,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const { name, requirementsFile } of project.stages.values()) {
    if (requirementsFile === undefined || found.has(requirementsFile)) continue;
    const text = await parts.source.readFile(commit, requirementsFile);
    if (text === undefined) {
      throw new Failure(
        "project-invalid",
        `Cannot deploy "${project.pipeline.name}": stages.${name}.requirements_file names ${requirementsFile}, which is not a file of commit ${commit.shortHash}.`,
      );
    }
    found.set(requirementsFile, text.toString("utf8"));
  }
  return found;
}
