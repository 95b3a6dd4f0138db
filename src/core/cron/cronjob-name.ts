import { asyncJobPrefix } from "../job-name.ts";
import { kubernetesNameProblem, sanitisedName } from "../naming.ts";

/** A cronjob's name as it is kept: sanitised as in the original, and in small letters, as Kubernetes needs it. */
export function cronjobName(text: string): string {
  return sanitisedName(text).toLowerCase();
}

/** Kubernetes takes 63 characters for a job, of which the minutes to its due time have up to 11. */
const longest = 52;

/** Why a name that is so made can't be one; undefined when it can. */
export function cronjobNameProblem(name: string): string | undefined {
  if (name.startsWith(asyncJobPrefix)) return `begins with ${asyncJobPrefix}, as the jobs of --async do`;
  if (name.length > longest) return `is longer than ${longest} characters`;
  return kubernetesNameProblem(name, "namespace");
}
