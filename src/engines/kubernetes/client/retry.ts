/** Whether and when a call is made again: decided here, done in requests.ts. */

/** `passing`: it will go by. `failing`: it may be a fault that stays. `final`: the same would come again. */
export type Trouble = "passing" | "failing" | "final";

export interface Patience {
  /** Milliseconds for what will go by. */
  readonly passing: number;
  /** Milliseconds for what may stay. */
  readonly failing: number;
}

const failingPatience = 60_000;
const firstDelay = 200;
const longestDelay = 10_000;
/** As long as a server may make us wait at once. */
const longestRetryAfter = 60_000;

/** `total`: milliseconds that a call may go on for at all. */
export function patienceOf(total: number): Patience {
  return { passing: total, failing: Math.min(total, failingPatience) };
}

/**
 * Milliseconds until the next try; undefined when there is to be none. `tries` made so far, `elapsed` milliseconds since
 * the first; `retryAfter` in seconds, as the server asked; `random` from 0 to 1.
 */
export function nextTry(
  trouble: Trouble,
  tries: number,
  elapsed: number,
  retryAfter: number | undefined,
  patience: Patience,
  random: number,
): number | undefined {
  if (trouble === "final") return undefined;
  const delay = retryAfter === undefined ? backOff(tries, random) : askedDelay(retryAfter, random);
  return elapsed + delay > patience[trouble] ? undefined : delay;
}

/** Doubled with each try; half of it is left to chance, so that clients do not come all at once. */
function backOff(tries: number, random: number): number {
  return Math.min(longestDelay, firstDelay * 2 ** Math.min(tries - 1, 16)) * (0.5 + random / 2);
}

/** Never earlier than asked, unless that is too long. */
function askedDelay(seconds: number, random: number): number {
  return Math.min(longestRetryAfter, Math.max(firstDelay, seconds * 1000) * (1 + random / 4));
}

/** What a status says of the same call made again. */
export function troubleOf(status: number, message: string): Trouble {
  if (isTooLarge(status, message)) return "final";
  if (status === 429 || status === 502 || status === 503 || status === 504) return "passing";
  if (status >= 500) return "failing";
  // Another change to the quota came between: that of the object was never looked at.
  if (status === 409 && /Operation cannot be fulfilled on resourcequotas/.test(message)) return "failing";
  return "final";
}

/** etcd's and gRPC's limits come as internal errors. */
export function isTooLarge(status: number, message: string): boolean {
  return status === 413 || /request is too large|message larger than max/.test(message);
}

/** A connection can break by chance; a certificate stays wrong. */
export function troubleOfConnection(code: string): Trouble {
  return /^(CERT_|ERR_TLS|ERR_SSL|ERR_OSSL|EPROTO|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HPE_|ERR_INVALID)/.test(
    code,
  )
    ? "final"
    : "passing";
}
