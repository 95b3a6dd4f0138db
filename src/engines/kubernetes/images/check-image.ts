import { setTimeout as sleep } from "node:timers/promises";

import { Failure } from "../../../core/failure.ts";
import type { KubernetesSettings } from "../../../core/settings.ts";
import { textAt } from "../client/objects.ts";
import { type Answer, type Ask, createAsk } from "./ask-server.ts";
import { dockerHub, type ImageReference, parseImage } from "./parse-image.ts";

export interface Images {
  /**
   * The image by its digest where its registry tells that, else as it is written. Fails: project-invalid (no name of an
   * image), image-missing (its registry has no such image).
   */
  resolve(image: string, options: ImageOptions): Promise<ResolvedImage>;
}

export interface ImageOptions {
  /** False: nothing is asked of anybody. */
  readonly check: boolean;
  /** The pods have secrets for its registry: what is not to be seen from here is no failure then. */
  readonly hasPullSecrets?: boolean;
  readonly signal?: AbortSignal;
}

export interface ResolvedImage {
  readonly image: string;
  readonly warnings: readonly string[];
}

/** Whether images exist, asked without credentials of any kind. */
export function createImages(parts: {
  readonly settings: Pick<KubernetesSettings, "docker_hub">;
  readonly fetch?: typeof globalThis.fetch;
  /** Milliseconds between two tries. */
  readonly retryDelay?: number;
}): Images {
  const ask = createAsk(parts.fetch ?? globalThis.fetch);
  return {
    async resolve(image, { check, hasPullSecrets = false, signal }) {
      const reference = parseImage(image);
      if (!check || reference.digest !== undefined || onlyNodesReach(reference)) {
        return { image, warnings: [] };
      }
      const found =
        reference.registry === dockerHub
          ? await lookUpOnHub(ask, parts.settings.docker_hub, reference, parts.retryDelay ?? 1_000, signal)
          : await lookUpInRegistry(ask, reference, signal);
      return decide(image, reference, found, hasPullSecrets);
    },
  };
}

/** A registry of the nodes' own is another one than that of the machine that asks. */
function onlyNodesReach({ registry }: ImageReference): boolean {
  return /^(?:localhost|127\.\d+\.\d+\.\d+)(?::|$)/.test(registry);
}

type LookUp =
  | { readonly kind: "found"; readonly digest: string | undefined }
  | { readonly kind: "missing" }
  | { readonly kind: "unknown"; readonly why: string };

function decide(
  image: string,
  { name, registry, repository, tag }: ImageReference,
  found: LookUp,
  hasPullSecrets: boolean,
): ResolvedImage {
  if (found.kind === "found") {
    const { digest } = found;
    return { image: digest === undefined ? image : `${name}@${digest}`, warnings: [] };
  }
  const missing =
    registry === dockerHub
      ? `Cannot locate ${repository.replace(/^library\//, "")}:${tag} on DockerHub`
      : `The registry ${registry} has no image ${repository}:${tag}`;
  if (found.kind === "unknown") {
    return { image, warnings: [`Not known whether the image ${image} exists: ${found.why}.`] };
  }
  if (hasPullSecrets) {
    return { image, warnings: [`${missing}; perhaps it is one that image_pull_secrets give access to.`] };
  }
  throw new Failure("image-missing", missing, {
    hint: "Check its name and its tag. An image that is not public needs kubernetes.image_pull_secrets in the project file, or image_check: false below kubernetes in the settings.",
  });
}

const mostTries = 3;

async function lookUpOnHub(
  ask: Ask,
  hub: string,
  { repository, tag }: ImageReference,
  retryDelay: number,
  signal: AbortSignal | undefined,
): Promise<LookUp> {
  const url = `${hub.replace(/\/+$/, "")}/v2/repositories/${repository}/tags/${tag}`;
  for (let tries = 1; ; tries += 1) {
    const answer = await ask({ method: "GET", url }, signal);
    const passing = answer.kind === "silent" || answer.status === 429 || answer.status >= 500;
    if (passing && tries < mostTries) {
      await sleep(retryDelay * tries, undefined, { signal }).catch(() => signal?.throwIfAborted());
      continue;
    }
    return readAnswer(answer, url, (body) => textAt(body, "digest"));
  }
}

async function lookUpInRegistry(
  ask: Ask,
  { registry, repository, tag }: ImageReference,
  signal: AbortSignal | undefined,
): Promise<LookUp> {
  const url = `https://${registry}/v2/${repository}/manifests/${tag}`;
  const first = await ask({ method: "HEAD", url, headers: { accept: manifestTypes } }, signal);
  const tokenUrl =
    first.kind === "answer" && first.status === 401 ? tokenPlace(first.headers, repository) : undefined;
  if (tokenUrl === undefined) return readManifest(first, url);
  const given = await ask({ method: "GET", url: tokenUrl }, signal);
  if (given.kind === "silent") return readManifest(given, tokenUrl);
  const token = textAt(given.body, "token") ?? textAt(given.body, "access_token");
  // Neither is what can be sent in a header.
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) return readManifest(first, url);
  const headers = { accept: manifestTypes, authorization: `Bearer ${token}` };
  return readManifest(await ask({ method: "HEAD", url, headers }, signal), url);
}

/** Indexes first: their digest is the same for every architecture. */
const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/**
 * Where anybody gets a token for reading, as `WWW-Authenticate` says it; undefined when it asks for something else
 * (https://distribution.github.io/distribution/spec/auth/token/).
 */
function tokenPlace(headers: Headers, repository: string): string | undefined {
  const challenge = headers.get("www-authenticate") ?? "";
  if (!/^bearer\s/i.test(challenge)) return undefined;
  const fields = new Map(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = "", value = ""]) => [key.toLowerCase(), value]),
  );
  const place = URL.parse(fields.get("realm") ?? "");
  if (place?.protocol !== "https:" || place.username !== "" || place.password !== "") return undefined;
  const service = fields.get("service");
  if (service !== undefined) place.searchParams.set("service", service);
  place.searchParams.set("scope", `repository:${repository}:pull`);
  return place.href;
}

function readManifest(answer: Answer, url: string): LookUp {
  const digest = answer.kind === "answer" ? answer.headers.get("docker-content-digest") : null;
  return readAnswer(answer, url, () => digest ?? undefined);
}

function readAnswer(answer: Answer, url: string, digestOf: (body: unknown) => string | undefined): LookUp {
  if (answer.kind === "silent") return { kind: "unknown", why: `cannot connect to ${url} (${answer.why})` };
  if (answer.status < 400) {
    const digest = digestOf(answer.body);
    return { kind: "found", digest: digest !== undefined && isDigest(digest) ? digest : undefined };
  }
  if (answer.status === 404) return { kind: "missing" };
  const whom = answer.status === 401 || answer.status === 403 ? " to who has no account there" : "";
  return { kind: "unknown", why: `${url} answers ${answer.status}${whom}` };
}

function isDigest(text: string): boolean {
  return /^sha256:[a-f0-9]{64}$/.test(text);
}
