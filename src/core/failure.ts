/**
 * Every way an action can fail, as one type. A failure says what should happen next by its kind; the exit code of the
 * command line and the status of the HTTP API are derived from it in one place each.
 */

/**
 * `fix`: a person must change something. `wait`: try again later, nothing is wrong. `retry`: an outside part failed in
 * passing. `bug`: ours.
 */
export type FailureKind = "fix" | "wait" | "retry" | "bug";

/** The catalogue: code → what should happen next. docs/reference/errors.md lists the same codes; a test compares them. */
export const failureCatalogue = {
  usage: "fix",
  "project-invalid": "fix",
  "project-missing": "fix",
  "repository-url": "fix",
  "repository-access": "fix",
  "repository-unreachable": "retry",
  "repository-limit": "fix",
  "host-key": "fix",
  "ref-not-found": "fix",
  "git-missing": "fix",
  "path-outside": "fix",
  "python-missing": "fix",
  "environment-failed": "fix",
  "environment-tool-missing": "fix",
  "stage-failed": "fix",
  "service-not-ready": "fix",
  "output-missing": "fix",
  "artifact-damaged": "fix",
  "secret-missing": "fix",
  "secret-key": "fix",
  "namespace-taken": "fix",
  "port-taken": "fix",
  "engine-unavailable": "fix",
  "cluster-unreachable": "retry",
  "cluster-refused": "fix",
  "image-missing": "fix",
  "not-found": "fix",
  "already-exists": "fix",
  "not-allowed": "fix",
  "too-many-requests": "wait",
  cancelled: "fix",
  superseded: "wait",
  "timed-out": "retry",
  "version-mismatch": "fix",
  "server-unreachable": "retry",
  "store-damaged": "fix",
  "disk-full": "fix",
  "home-unsafe": "fix",
  internal: "bug",
} as const satisfies Record<string, FailureKind>;

export type FailureCode = keyof typeof failureCatalogue;

/**
 * An action that could not be done. `message` says what we were doing, to what, and what we found; `hint` what to do.
 * `details` are further lines to show below (all problems, a tool's own output). None of them holds a secret.
 */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly code: FailureCode;
  readonly hint: string | undefined;
  readonly details: readonly string[];

  constructor(
    code: FailureCode,
    message: string,
    more: { hint?: string | undefined; details?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.hint = more.hint;
    this.details = more.details ?? [];
  }

  get kind(): FailureKind {
    return failureCatalogue[this.code];
  }
}

/** Any thrown value as a Failure; what we did not foresee is a `bug` that keeps its cause. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new Failure("internal", text, { cause: error });
}
