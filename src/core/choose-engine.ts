/** What the choice of an engine is made from. What is empty counts as not given: `undefined`. */
export interface EngineFacts {
  /** `--engine`. */
  readonly option: string | undefined;
  /** `--server`: a URL. */
  readonly serverOption: string | undefined;
  /** `BODYWORK_ENGINE`. */
  readonly variable: string | undefined;
  /** `BODYWORK_SERVER`: a URL. */
  readonly serverVariable: string | undefined;
  /** URL of the server of `bodywork login`. */
  readonly login: string | undefined;
  /** `engine:` of the user's settings. */
  readonly setting: string | undefined;
  /** Where a deployment of the name that the command is about lives already. */
  readonly livesOn: "local" | "kubernetes" | undefined;
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
  | { readonly engine: "server"; readonly url: string; readonly why: string }
  | {
      readonly engine: "none";
      readonly why: string;
      readonly hint: string;
      /** What the user has said is wrong: no command goes on with it, not even one that only looks. */
      readonly mistake?: true;
    };

/** Of the variable `CI`: `false`, `0` and nothing say that this is none. */
export function isCi(variable: string | undefined): boolean {
  return !["", "0", "false"].includes((variable ?? "").trim().toLowerCase());
}

/**
 * Which engine a command acts on. What the command line says wins over the environment, that over `bodywork login` and
 * the settings. Else a deployment stays where it lives; a kubeconfig or in-cluster credentials mean the cluster; a
 * machine with neither is its own engine, except in CI: a job must not go green by deploying to a machine that is
 * thrown away.
 */
export function chooseEngine(facts: EngineFacts): EngineChoice {
  return chosenByUser(facts) ?? found(facts);
}

function chosenByUser(facts: EngineFacts): EngineChoice | undefined {
  const { option, serverOption, variable, serverVariable, login, setting } = facts;
  return (
    either({ name: "--engine", value: option }, { name: "--server", value: serverOption }) ??
    either(
      { name: "BODYWORK_ENGINE", value: variable },
      { name: "BODYWORK_SERVER", value: serverVariable },
    ) ??
    (login === undefined
      ? undefined
      : { engine: "server", url: login, why: "bodywork login has chosen it" }) ??
    either({ name: "engine in the settings", value: setting })
  );
}

interface Named {
  readonly name: string;
  readonly value: string | undefined;
}

/** The engine that is named, or the server; both at once contradict each other. */
function either(engine: Named, server?: Named): EngineChoice | undefined {
  const { value } = engine;
  if (value !== undefined && server?.value !== undefined) {
    const why = `${engine.name} is ${value}, and ${server.name} is ${server.value}`;
    return { engine: "none", why, hint: `Give ${engine.name} or ${server.name}, not both.`, mistake: true };
  }
  if (server?.value !== undefined)
    return { engine: "server", url: server.value, why: `${server.name} names it` };
  if (value === undefined) return undefined;
  if (value === "local" || value === "kubernetes")
    return { engine: value, why: `${engine.name} is ${value}` };
  return {
    engine: "none",
    why: `${engine.name} is "${value}"`,
    hint: "Use local or kubernetes.",
    mistake: true,
  };
}

function found(facts: EngineFacts): EngineChoice {
  if (facts.livesOn !== undefined) {
    return { engine: facts.livesOn, why: "the deployment lives there" };
  }
  if (facts.kubeconfigFile !== undefined) {
    return { engine: "kubernetes", why: `there is a kubeconfig at ${facts.kubeconfigFile}` };
  }
  if (facts.inCluster) return { engine: "kubernetes", why: "this runs inside a cluster" };
  if (facts.kubeconfigVariable !== undefined) {
    return {
      engine: "none",
      why: `KUBECONFIG is ${facts.kubeconfigVariable}, which can't be read`,
      hint: "Mend KUBECONFIG, or deploy on this machine with: --engine local",
    };
  }
  if (facts.ci) {
    return {
      engine: "none",
      why: "this is a CI job (CI is set) without a kubeconfig: a deployment would live on the job's own machine",
      hint: "Give the job a kubeconfig, or BODYWORK_SERVER and BODYWORK_TOKEN; --engine local if its own machine is what you want.",
    };
  }
  return { engine: "local", why: "there is no kubeconfig on this machine" };
}
