import type { EngineChoice } from "./choose-engine.ts";

/** What is known of the engines of a user without asking any but this machine's own. */
interface KnownEngines {
  readonly chosen: EngineChoice;
  /** Deployments that this machine's own engine holds. */
  readonly localDeployments: number;
  /** URL of the server of `bodywork login`. */
  readonly login: string | undefined;
}

/** One line on what a listing does not show because another engine holds it; undefined when nothing is known of one. */
export function elsewhere({ chosen, localDeployments, login }: KnownEngines): string | undefined {
  if (chosen.engine === "local") {
    return login === undefined
      ? undefined
      : `Not shown is what the server ${login} holds: see it with --server ${login}`;
  }
  if (chosen.engine === "none" || localDeployments === 0) return undefined;
  const count = localDeployments === 1 ? "1 deployment" : `${localDeployments} deployments`;
  return `Not shown: this machine's own engine holds ${count}. See with --engine local`;
}

/**
 * Why what is shown is this machine's own engine, though another one was chosen or none could be, in one line; undefined
 * when what is shown is what was chosen.
 */
export function shownInstead(chosen: EngineChoice): string | undefined {
  switch (chosen.engine) {
    case "none":
      if (chosen.mistake) return undefined; // It is refused.
      return `Shown is this machine's own engine, for none could be chosen: ${chosen.why}.`;
    default:
      return undefined;
  }
}
