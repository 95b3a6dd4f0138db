/** What the choice of an engine is made from. */
export interface EngineFacts {
  /** `BODYWORK_ENGINE`. */
  readonly variable: string | undefined;
  /** `engine:` of the user's settings. */
  readonly setting: string | undefined;
  /** `KUBECONFIG`, when set. */
  readonly kubeconfigVariable: string | undefined;
  /** Whether a kubeconfig can be read, and where. */
  readonly kubeconfigFile: string | undefined;
  /** In a cluster, with credentials. */
  readonly inCluster: boolean;
  /** `CI` is set: this machine is thrown away after the job. */
  readonly ci: boolean;
}

export type EngineChoice =
  | { readonly engine: "local" | "kubernetes"; readonly why: string }
  | { readonly engine: "none"; readonly why: string; readonly hint: string };

/**
 * Which engine a command acts on. What the user says wins; a kubeconfig or in-cluster credentials mean the cluster; a
 * machine with neither is its own engine, except in CI: a job must not go green by deploying to a machine that is
 * thrown away.
 */
export function chooseEngine(facts: EngineFacts): EngineChoice {
  const named = facts.variable ?? facts.setting;
  const where = facts.variable === undefined ? "engine in the settings" : "BODYWORK_ENGINE";
  if (named === "local" || named === "kubernetes") return { engine: named, why: `${where} is ${named}` };
  if (named !== undefined) {
    return { engine: "none", why: `${where} is "${named}"`, hint: "Use local or kubernetes." };
  }
  if (facts.kubeconfigFile !== undefined) {
    return { engine: "kubernetes", why: `there is a kubeconfig at ${facts.kubeconfigFile}` };
  }
  if (facts.inCluster) return { engine: "kubernetes", why: "this runs inside a cluster" };
  if (facts.kubeconfigVariable !== undefined) {
    return {
      engine: "none",
      why: `KUBECONFIG is ${facts.kubeconfigVariable}, which can't be read`,
      hint: "Mend KUBECONFIG, or set BODYWORK_ENGINE=local to deploy on this machine.",
    };
  }
  if (facts.ci) {
    return {
      engine: "none",
      why: "this is a CI job (CI is set) without a kubeconfig: a deployment would live on the job's own machine",
      hint: "Give the job a kubeconfig, or set BODYWORK_ENGINE=local if that is what you want.",
    };
  }
  return { engine: "local", why: "there is no kubeconfig on this machine" };
}
