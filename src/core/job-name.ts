import { Failure } from "./failure.ts";
import { kubernetesNameProblem, sanitisedName } from "./naming.ts";
import type { DeployRequest } from "./run-state.ts";

/** Ids of the jobs of `--async` begin so, and no cronjob's name does: its jobs' ids could be one of theirs. */
export const asyncJobPrefix = "async-workflow-";
/** As Kubernetes has it for a Job. */
const longest = 63;

/** Id of a job of `--async` with that name. Fails: usage, when Kubernetes would take no job of that name. */
export function asyncJobId(name: string): string {
  const id = `${asyncJobPrefix}${sanitisedName(name).toLowerCase()}`;
  const problem = kubernetesNameProblem(id, "job");
  if (problem === undefined) return id;
  throw new Failure("usage", `Cannot create workflow-job=${id}: its name ${problem}.`, {
    hint: "Give another name with --async-job-name.",
  });
}

/** Id of the job of `--async` that a person means: they may write its name or the id, in any of the ways that make it. */
export function meantJobId(written: string): string {
  const plain = sanitisedName(written).toLowerCase();
  return plain.startsWith(asyncJobPrefix) ? plain : `${asyncJobPrefix}${plain}`;
}

/** Id of a job that was given none, of its repository, branch and a random number. */
export function madeUpJobId({ url, branch }: Pick<DeployRequest, "url" | "branch">, random: number): string {
  const repository =
    url
      .replace(/\/+$/, "")
      .replace(/\.git$/, "")
      .split(/[/:]/)
      .at(-1) ?? "";
  const words = [repository, branch ?? "default"].map(word);
  const end = `-${random}`;
  const middle = words.join("-").slice(0, longest - asyncJobPrefix.length - end.length);
  return `${asyncJobPrefix}${word(middle)}${end}`;
}

/** Of small letters, digits and hyphens, beginning and ending with neither of the others. */
function word(text: string): string {
  const legal = text.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return legal.replace(/^-|-$/g, "") || "x";
}
