import { Failure } from "../core/failure.ts";
import { sanitisedName } from "../core/naming.ts";
import type { ServiceStatus } from "../core/run-state.ts";
import type { SharedParts } from "./run-actions.ts";
import type { Turns } from "./turns.ts";

/**
 * Takes one service out of the routes and stops it, by its raw or its sanitised name; a run that is under way in its
 * namespace ends first. Where two namespaces have such a service, the first one's. Fails: not-found.
 */
export async function deleteService(
  deployment: string,
  service: string,
  { engine }: Pick<SharedParts, "engine">,
  turns: Turns,
): Promise<ServiceStatus> {
  const found = findService(deployment, service, engine.services());
  const { namespace, stage, name } = found;
  const patience = new AbortController().signal;
  const endTurn = await turns.take(namespace, `the deletion of service ${name}`, patience, () => {});
  try {
    await engine.removeService({ namespace, stage });
  } finally {
    endTurn();
  }
  return found;
}

function findService(deployment: string, service: string, services: readonly ServiceStatus[]): ServiceStatus {
  const ofDeployment = services.filter((status) => status.deployment === deployment);
  const wanted = sanitisedName(service);
  const found = ofDeployment.find(({ stage, name }) => stage === service || name === wanted);
  if (found !== undefined) return found;
  const names = ofDeployment.map(({ name }) => name);
  throw new Failure("not-found", `Cannot delete service "${service}" of "${deployment}": there is none.`, {
    hint:
      names.length === 0
        ? `No service of "${deployment}" runs here.`
        : `Services of it: ${names.join(", ")}.`,
  });
}
