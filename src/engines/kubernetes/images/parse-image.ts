import { isDockerImage } from "../../../core/docker-image.ts";
import { Failure } from "../../../core/failure.ts";

/** What the name of an image says, with what Docker takes for granted filled in. */
export interface ImageReference {
  /** As written, without tag and digest: `python`, `ghcr.io/us/model`. */
  readonly name: string;
  /** `docker.io`, or the host with its port. */
  readonly registry: string;
  /** `library/python`, `us/model`. */
  readonly repository: string;
  /** `latest` when none is written. */
  readonly tag: string;
  /** `sha256:…`; the tag then means nothing. */
  readonly digest: string | undefined;
}

/** Docker Hub's registry; images without a host are there. */
export const dockerHub = "docker.io";

/** Fails: project-invalid. */
export function parseImage(image: string): ImageReference {
  if (!isDockerImage(image)) {
    throw new Failure("project-invalid", `Invalid Docker image specified: ${image}`, {
      hint: "Write [HOST[:PORT]/]NAME[:TAG] or [HOST[:PORT]/]NAME@DIGEST, in small letters: python:3.11, user/image:1.0.",
    });
  }
  const [withTag = "", digest] = image.split("@");
  const colon = withTag.lastIndexOf(":");
  // A colon before a slash belongs to the registry's port.
  const hasTag = colon > withTag.lastIndexOf("/");
  const name = hasTag ? withTag.slice(0, colon) : withTag;
  return { name, ...placeOf(name), tag: hasTag ? withTag.slice(colon + 1) : "latest", digest };
}

function placeOf(name: string): Pick<ImageReference, "registry" | "repository"> {
  const slash = name.indexOf("/");
  const first = slash === -1 ? "" : name.slice(0, slash);
  if (!isHost(first)) return onDockerHub(name);
  const rest = name.slice(slash + 1);
  return hubHosts.includes(first) ? onDockerHub(rest) : { registry: first, repository: rest };
}

const hubHosts: readonly string[] = [dockerHub, "index.docker.io", "registry-1.docker.io"];

/** As Docker tells a host from a user's name. */
function isHost(first: string): boolean {
  return /[.:A-Z]/.test(first) || first === "localhost";
}

/** Official images belong to `library`. */
function onDockerHub(path: string): Pick<ImageReference, "registry" | "repository"> {
  return { registry: dockerHub, repository: path.includes("/") ? path : `library/${path}` };
}
