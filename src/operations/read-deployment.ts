import { Failure } from "../core/failure.ts";
import { parseProject } from "../core/parse-project.ts";
import type { Problem, Project } from "../core/project.ts";
import { refusals } from "../core/project-rules.ts";
import type { DeployRequest, RunCommit } from "../core/run-state.ts";
import type { Source } from "../ports/source.ts";

/** The name of the project file in a repository's root. */
export const projectFileName = "bodywork.yaml";

export interface ReadProject {
  readonly project: Project;
  /** One line each, with their places in the file. */
  readonly warnings: readonly string[];
}

/**
 * The project of a commit, which may be deployed. Fails with everything that is wrong with the file at once:
 * project-missing, project-invalid.
 */
export async function readProject(
  commit: RunCommit,
  { strict }: Pick<DeployRequest, "strict">,
  source: Source,
): Promise<ReadProject> {
  const text = await source.readFile(commit, projectFileName);
  if (text === undefined) {
    throw new Failure(
      "project-missing",
      `Cannot deploy ${commit.url}: commit ${commit.shortHash} has no ${projectFileName} in its root. No config file found.`,
      { hint: `Add ${projectFileName} to the root of the repository.` },
    );
  }
  const files = await source.listFiles(commit);
  const { project, problems } = parseProject(text, { fileName: projectFileName, files });
  const refused = project === undefined ? [] : refusals(project);
  // The validator has warned of what is refused here, with its line.
  const isRefused = ({ code, path, message }: Problem): boolean =>
    refused.some((other) => other.code === code && other.path === path && other.message === message);
  const warnings = problems.filter((problem) => problem.severity === "warning" && !isRefused(problem));
  const errors = problems.filter((problem) => problem.severity === "error" || isRefused(problem));
  const fatal = strict ? [...errors, ...warnings] : errors;
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
  return { project, warnings: warnings.map(withPlace) };
}

function withPlace({ message, line, column }: Problem): string {
  return line === undefined ? message : `${message} (${projectFileName}:${line}:${column ?? 1})`;
}

/** All of a few, else the first and how many more. */
export function shortened(messages: readonly string[]): string {
  if (messages.length <= 3) return messages.join(", ");
  return `${messages[0]} and ${messages.length - 1} more`;
}

/** Path in the repository → text, of the stages that name a requirements file. Fails: project-invalid. */
export async function readRequirementsFiles(
  project: Project,
  commit: RunCommit,
  source: Source,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const { name, requirementsFile } of project.stages.values()) {
    if (requirementsFile === undefined || found.has(requirementsFile)) continue;
    const text = await source.readFile(commit, requirementsFile);
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
