import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isDockerImage } from "../../core/docker-image.ts";
import { asFailure, Failure } from "../../core/failure.ts";
import { isSshAddress } from "../../core/repository-address.ts";
import type { DeployRequest } from "../../core/run-state.ts";
import { withoutCredentials } from "../../core/url-credentials.ts";
import type { RepositoryCredentials } from "../../operations/operations.ts";
import type { CliIo } from "../cli-io.ts";
import type { CommandContext, CommandInput } from "../command-spec.ts";
import { notice } from "../output.ts";

/** What `create` and `update deployment` ask for. An empty option means none, as in the original: scripts write --branch="$BRANCH". */
export function readDeployRequest(input: CommandInput): DeployRequest {
  return {
    url: input.required("GIT_URL"),
    branch: input.text("branch") || undefined,
    acceptHostKey: input.text("accept-host-key") || undefined,
    strict: input.flag("strict"),
    group: input.text("group") || undefined,
    ...(input.text("bodywork-image") ? { image: input.text("bodywork-image") } : {}),
    ...(input.choice("image-check") === undefined ? {} : { checkImage: input.choice("image-check") }),
    startedBy: input.flag("async") ? "async" : "command",
  };
}

/** The key that goes with the request. That of the environment wins over the file, as in the original, and is not kept. */
export async function readCredentials(
  input: CommandInput,
  url: string,
  { io, wiring }: CommandContext,
): Promise<RepositoryCredentials | undefined> {
  const keyFile = input.text("ssh") || undefined;
  const ofEnvironment = isSshAddress(url) ? wiring.environmentSshKey() : undefined;
  if (ofEnvironment !== undefined) {
    if (keyFile !== undefined) {
      notice(io, "warning", "--ssh is not used: BODYWORK_GIT_SSH_PRIVATE_KEY is set and wins.");
    }
    return { sshKey: ofEnvironment, keep: false };
  }
  return keyFile === undefined ? undefined : readKeyOption(keyFile, url, { io, wiring });
}

/** The private key that `--ssh` names. Undefined, which is said, for an address that it is of no use for. Fails: usage. */
export async function readKeyOption(
  keyFile: string,
  url: string,
  { io, wiring }: CommandContext,
): Promise<RepositoryCredentials | undefined> {
  if (!isSshAddress(url)) {
    notice(
      io,
      "warning",
      `--ssh is not used, nor is the key kept: ${withoutCredentials(url)} is no ssh address.`,
    );
    return undefined;
  }
  const path = resolve(io.workingFolder, keyFile);
  const sshKey = await wiring.readKeyFile(path);
  if (!/-----BEGIN [^\n]*PRIVATE KEY-----/.test(sshKey.reveal())) {
    throw new Failure("usage", `Cannot use ${path} as an ssh key: it is no private key.`, {
      hint: "Such a file begins with -----BEGIN … PRIVATE KEY-----; one that ends in .pub is the public key.",
    });
  }
  return { sshKey, keep: true };
}

/** Of what the original says of an image, only its form can be known to be wrong before anything is asked. */
export function imageProblem(input: CommandInput): Failure | undefined {
  const image = input.text("bodywork-image") || undefined;
  if (image === undefined || isDockerImage(image)) return undefined;
  return new Failure("project-invalid", `Invalid Docker image specified: ${image}`, {
    hint: "An image is written [HOST[:PORT]/]NAME[/NAME…][:TAG].",
  });
}

/** Says which of the options given mean nothing here, and why. */
export function tellInactiveOptions(input: CommandInput, engine: string, io: CliIo): void {
  const inactive = {
    ...(input.flag("async") ? {} : { retries: "only a job (--async) tries a whole deployment again" }),
    ...(input.flag("async") ? {} : { "async-job-name": "without --async there is no job" }),
    ...(engine === "kubernetes" ? {} : { "bodywork-image": "no image runs on this machine" }),
    ...(engine === "kubernetes" ? { listen: "the cluster's own ingress routes to services" } : {}),
  };
  for (const [option, why] of Object.entries(inactive)) {
    if (input.text(option)) notice(io, "info", `--${option} is inactive here: ${why}.`);
  }
}

/** Where a path begins only we know: the server works elsewhere. */
export function withWholePath(error: unknown, url: string, io: CliIo): Failure {
  const failure = asFailure(error);
  if (failure.code !== "repository-url" || !/^\.{1,2}(\/|$)/.test(url)) return failure;
  const { href } = pathToFileURL(resolve(io.workingFolder, url));
  return new Failure(failure.code, failure.message, {
    hint: `For a repository on this machine write ${href}`,
    details: failure.details,
    cause: failure,
  });
}
