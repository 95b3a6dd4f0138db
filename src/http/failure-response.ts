import { Failure, type FailureCode, type FailureKind, failureCatalogue } from "../core/failure.ts";

/** A failure as the API sends it. */
export interface FailureBody {
  readonly error: {
    readonly code: FailureCode;
    readonly message: string;
    readonly hint?: string;
    readonly details?: readonly string[];
  };
}

const statusOfKind: Record<FailureKind, number> = { fix: 422, wait: 409, retry: 503, bug: 500 };
const statusOfCode: Partial<Record<FailureCode, number>> = {
  "not-found": 404,
  "not-allowed": 403,
  "too-many-requests": 429,
};

/** HTTP status of a failure: what should happen next, in HTTP's words. */
export function failureStatus(failure: Failure): number {
  return statusOfCode[failure.code] ?? statusOfKind[failure.kind];
}

export function failureBody(failure: Failure): FailureBody {
  return {
    error: {
      code: failure.code,
      message: failure.message,
      ...(failure.hint === undefined ? {} : { hint: failure.hint }),
      ...(failure.details.length === 0 ? {} : { details: failure.details }),
    },
  };
}

/** The same failure on the client's side; a body that is none of ours is told with its status. */
export function failureFromResponse(status: number, body: unknown): Failure {
  const error = (body as Partial<FailureBody> | undefined)?.error;
  if (error === undefined || !(error.code in failureCatalogue)) {
    return new Failure("internal", `The server answered ${status}: ${JSON.stringify(body)?.slice(0, 200)}`);
  }
  return new Failure(error.code, error.message, { hint: error.hint, details: error.details ?? [] });
}
