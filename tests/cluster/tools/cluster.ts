/**
 * `node tests/cluster/tools/cluster.ts up|tool|down|wipe|env [NAME]`: a real one-node Kubernetes on this machine, with
 * Traefik in front. `up` prints how to use it; `tool` gives it the image of the tool as the code is now; `down` stops it
 * and keeps what it holds; `wipe` leaves nothing of it. Linux and root only. What runs in it lives in namespaces of its
 * own, so that it touches neither this machine's processes, mounts nor firewall, and all goes at once.
 */

import { addTool, type ClusterVariables, down, up, variablesOf, wipe } from "./node.ts";
import { placesOf } from "./places.ts";
import { ClusterProblem } from "./run.ts";

const [command = "", name] = process.argv.slice(2);
const places = placesOf(process.env, name);
const tell = (line: string): void => void process.stderr.write(`Test cluster: ${line}\n`);
try {
  if (command === "up") print(await up(places, tell));
  else if (command === "tool") addTool(places, tell);
  else if (command === "env") print(variablesOf(places));
  else if (command === "down") await down(places);
  else if (command === "wipe") await wipe(places);
  else throw new ClusterProblem("Usage: node tests/cluster/tools/cluster.ts up|tool|down|wipe|env [NAME]");
} catch (error) {
  if (!(error instanceof ClusterProblem)) throw error;
  tell(error.message);
  process.exitCode = 1;
}

function print(variables: ClusterVariables): void {
  for (const [name, value] of Object.entries(variables)) process.stdout.write(`export ${name}='${value}'\n`);
}
