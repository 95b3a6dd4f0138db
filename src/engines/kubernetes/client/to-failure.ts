import { asFailure, Failure } from "../../../core/failure.ts";
import { ClusterError } from "./cluster.ts";

/**
 * What went wrong with the cluster, for people: `clusterFailure(error, "create the namespace x")`. A Failure stays what
 * it is.
 */
export function clusterFailure(error: unknown, doing: string): Failure {
  if (!(error instanceof ClusterError)) return asFailure(error);
  const { kind, status, message, causes } = error;
  if (kind === "unreachable") {
    const what = status === undefined ? message : `it answered ${status}: ${message}`;
    return new Failure(
      "cluster-unreachable",
      `Cannot ${doing}: Failed to connect to the Kubernetes API (${ended(what)}).`,
      { hint: "See whether `kubectl get nodes` answers, then try again.", cause: error },
    );
  }
  return new Failure(
    codeOf(error),
    `Cannot ${doing}: Kubernetes API error returned${status === undefined ? "" : ` (${status})`}: ${ended(message)}.`,
    {
      hint: hintOf(error),
      // The message has them as a rule.
      details: causes.filter((cause) => !causeIsSaid(cause, message)),
      cause: error,
    },
  );
}

function codeOf(error: ClusterError): Failure["code"] {
  switch (error.kind) {
    case "unauthorized":
      return "not-allowed";
    case "forbidden":
      return isPolicy(error) ? "cluster-refused" : "not-allowed";
    case "not-found":
      return "not-found";
    case "already-exists":
      return "already-exists";
    default:
      return "cluster-refused";
  }
}

/** Quotas, limits and admission say 403, too: a person with more rights would be told the same. */
function isPolicy({ message }: ClusterError): boolean {
  return !/\bcannot \w+ resource\b|^may not /.test(message);
}

function hintOf(error: ClusterError): string | undefined {
  switch (error.kind) {
    case "unauthorized":
      return "Renew the credentials of the kubeconfig's user.";
    case "forbidden":
      return isPolicy(error)
        ? undefined
        : "Ask whoever runs the cluster for this right, or use another context.";
    case "conflict":
      return "Another tool manages this object: let only one of them do it.";
    case "too-large":
      return "Kubernetes keeps no object of more than about 1 MiB.";
    default:
      return undefined;
  }
}

function causeIsSaid(cause: string, message: string): boolean {
  const [field = ""] = cause.split(": ");
  return message.includes(cause) || (field !== "" && message.includes(field));
}

function ended(text: string): string {
  return text.trim().replace(/\.+$/, "");
}
