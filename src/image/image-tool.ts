import { Failure } from "../core/failure.ts";
import { type CommandResult, runCommand } from "../lib/run-command.ts";
import type { ImageOrder, ImageTool } from "../ports/image-tool.ts";
import { withBuildContext } from "./build-context.ts";

export interface ImageToolParts {
  /** Of this process: the programs need its PATH, and what else they go by. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** What the image is called when nothing else is said: the setting kubernetes.image. */
  readonly image: string;
}

/** Programs that build images, in the order in which they are tried, with what shows that they work. */
const programs: readonly { readonly name: string; readonly check: readonly string[] }[] = [
  // Without its daemon docker has only a client's version to tell, and fails.
  { name: "docker", check: ["version", "--format", "{{.Server.Version}}"] },
  { name: "podman", check: ["--version"] },
  { name: "buildah", check: ["--version"] },
];

/** Milliseconds for a program to say that it works. */
const checkTime = 20_000;
const lastLines = 20;

/** Docker, podman or buildah, whichever works here first. */
export function createImageTool({ variables, image: usual }: ImageToolParts): ImageTool {
  const env = Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const run = async (
    program: string,
    args: readonly string[],
    doing: string,
    { onOutput, signal }: Pick<ImageOrder, "onOutput" | "signal">,
  ): Promise<void> => {
    const result = await runCommand(program, args, { env, onOutput, signal });
    if (result.aborted) signal.throwIfAborted();
    if (result.exitCode !== 0) throw failed(program, doing, result);
  };
  return {
    async build({ tag, platform, ...order }) {
      const image = tag ?? usual;
      const program = await workingProgram(env, `build the image ${image}`, order.signal);
      await withBuildContext(async (folder) => {
        const forPlatform = platform === undefined ? [] : ["--platform", platform];
        const args = ["build", "--tag", image, "--file", `${folder}/Dockerfile`, ...forPlatform, folder];
        await run(program, args, `build the image ${image}`, order);
      });
      return { image, program };
    },
    async push({ tag, ...order }) {
      const image = tag ?? usual;
      const program = await workingProgram(env, `push the image ${image}`, order.signal);
      await run(program, ["push", image], `push the image ${image}`, order);
      return { image, program };
    },
  };
}

async function workingProgram(
  env: Readonly<Record<string, string>>,
  doing: string,
  signal: AbortSignal,
): Promise<string> {
  const found: string[] = [];
  for (const { name, check } of programs) {
    const result = await runCommand(name, check, { env, signal, timeout: checkTime });
    if (result.exitCode === 0) return name;
    if (result.startError === undefined) found.push(`${name}: ${lastLine(result)}`);
  }
  throw new Failure("image-missing", `Cannot ${doing}: neither docker, podman nor buildah works here.`, {
    details: found,
    hint: "Install one of them, or start docker's daemon; buildah needs none. A machine of your CI can build it as well.",
  });
}

function lastLine({ stdout, stderr, timedOut }: CommandResult): string {
  if (timedOut) return `it did not answer within ${checkTime / 1_000} s`;
  return linesOf(stderr).at(-1) ?? linesOf(stdout).at(-1) ?? "it failed and said nothing";
}

function failed(
  program: string,
  doing: string,
  { exitCode, signal, stdout, stderr }: CommandResult,
): Failure {
  const how = exitCode === undefined ? (signal ?? "it could not be started") : `exit ${exitCode}`;
  return new Failure("image-missing", `Cannot ${doing}: ${program} failed (${how}).`, {
    details: [...linesOf(stdout), ...linesOf(stderr)].slice(-lastLines),
    hint: doing.startsWith("push") ? `Perhaps it needs: ${program} login` : undefined,
  });
}

function linesOf(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trimEnd()]));
}
