import { ClusterError, type ClusterErrorKind } from "./cluster.ts";
import { type Fields, fieldsOf, listAt, textAt } from "./objects.ts";
import { isTooLarge } from "./retry.ts";

/** What a call does, for messages: `create`, `deployments.apps`. */
export interface Doing {
  readonly verb: string;
  readonly resource: string;
  readonly namespace?: string | undefined;
}

/** An answer that is no success, as an error. `text` is its body: a Status as a rule, or what a proxy wrote. */
export function answerError(status: number, text: string, doing: Doing): ClusterError {
  const answer = statusOf(text);
  const message = textAt(answer, "message") || plainText(text) || `the answer was ${status}`;
  const kind = kindOf(status, textAt(answer, "reason"), message);
  return new ClusterError(kind, kind === "forbidden" ? forbidden(message, doing) : message, {
    status,
    causes: listAt(answer, "details", "causes").map((cause) => {
      const field = textAt(cause, "field");
      return `${field ? `${field}: ` : ""}${textAt(cause, "message") ?? textAt(cause, "reason") ?? ""}`;
    }),
  });
}

/** A Status; empty when it is none. */
function statusOf(text: string): Fields {
  try {
    return fieldsOf(JSON.parse(text));
  } catch {
    return {};
  }
}

function kindOf(status: number, reason: string | undefined, message: string): ClusterErrorKind {
  if (isTooLarge(status, message)) return "too-large";
  switch (status) {
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 404:
      return "not-found";
    case 409:
      return reason === "AlreadyExists" ? "already-exists" : "conflict";
    case 410:
      return "gone";
    case 422:
      return "invalid";
    case 429:
    case 502:
    case 503:
    case 504:
      return "unreachable";
    default:
      return "refused";
  }
}

/** The API server and its admission name the object themselves; what is before them may just say no. */
function forbidden(message: string, { verb, resource, namespace }: Doing): string {
  if (/ is forbidden: | denied the request/.test(message)) return message;
  const where = namespace === undefined ? "" : ` in namespace ${namespace}`;
  return `may not ${verb} ${resource}${where}: ${message}`;
}

/** The first line of what is no JSON; a page of a proxy says nothing to anybody. */
function plainText(text: string): string | undefined {
  const line = text.trim().split("\n")[0] ?? "";
  return line === "" || line.startsWith("<") || line.startsWith("{") ? undefined : line.slice(0, 500);
}
