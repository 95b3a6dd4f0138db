/** One question over HTTP to a server that we don't know and don't trust. */

export type Answer =
  | { readonly kind: "answer"; readonly status: number; readonly headers: Headers; readonly body: unknown }
  | { readonly kind: "silent"; readonly why: string };

export interface Question {
  readonly method: "GET" | "HEAD";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Ask = (question: Question, signal: AbortSignal | undefined) => Promise<Answer>;

/** Milliseconds for a question with all its redirects. */
const patience = 10_000;
const mostRedirects = 3;
/** Bytes that are read of an answer. */
const mostBytes = 1024 * 1024;

/**
 * `body` is the answer's JSON; undefined when it is none, or longer than 1 MiB. Redirects are followed three times, never
 * from https to http; a header is sent to no other origin than the first. Rejects only when the signal aborts.
 */
export function createAsk(fetch: typeof globalThis.fetch): Ask {
  return async (question, signal) => {
    const limit = AbortSignal.timeout(patience);
    try {
      return await askOnce(fetch, question, signal === undefined ? limit : AbortSignal.any([signal, limit]));
    } catch (error) {
      signal?.throwIfAborted();
      if (limit.aborted) return { kind: "silent", why: `no answer within ${patience / 1000} s` };
      return { kind: "silent", why: reasonOf(error) };
    }
  };
}

async function askOnce(
  fetch: typeof globalThis.fetch,
  { method, url, headers = {} }: Question,
  signal: AbortSignal,
): Promise<Answer> {
  const { origin } = new URL(url);
  let at = new URL(url);
  for (let redirects = 0; redirects <= mostRedirects; redirects += 1) {
    const response = await fetch(at, {
      method,
      headers: at.origin === origin ? { ...headers } : {},
      redirect: "manual",
      credentials: "omit",
      signal,
    });
    const next = redirectOf(response, at);
    if (next === undefined) {
      const { status } = response;
      return { kind: "answer", status, headers: response.headers, body: await jsonOf(response) };
    }
    await response.body?.cancel();
    if (at.protocol === "https:" && next.protocol !== "https:") {
      return { kind: "silent", why: "it redirects to a place without TLS" };
    }
    at = next;
  }
  return { kind: "silent", why: `it redirects more than ${mostRedirects} times` };
}

function redirectOf(response: Response, from: URL): URL | undefined {
  const location = response.headers.get("location");
  if (response.status < 300 || response.status > 399 || location === null) return undefined;
  const next = URL.parse(location, from.href) ?? undefined;
  return next !== undefined && /^https?:$/.test(next.protocol) ? next : undefined;
}

async function jsonOf(response: Response): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    if (bytes > mostBytes) return undefined;
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString());
  } catch {
    return undefined;
  }
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error) return cause.message || ("code" in cause ? String(cause.code) : error.message);
  return error.message;
}
