/**
 * Whom a request may come from, decided by its headers alone: against pages in a browser that reach for a server they have
 * no business with. Pure.
 */

/**
 * The host that a request is meant for, without its port, in small letters: `127.0.0.1`, `[::1]`, `bodywork.example.com`.
 */
export function hostOf(header: string | undefined): string {
  return (header ?? "").toLowerCase().replace(/:\d+$/, "");
}

const loopbackNames: readonly string[] = ["127.0.0.1", "localhost", "[::1]"];

/**
 * Against DNS rebinding: a page that has its own name lead to our address still calls us by that name. Loopback names are
 * always ours; `others` are as of `hostOf`.
 */
export function isOurHost(header: string | undefined, others: readonly string[]): boolean {
  const host = hostOf(header);
  return loopbackNames.includes(host) || others.includes(host);
}

export interface OriginFacts {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** `Sec-Fetch-Site`, which a page can't set. */
  readonly fetchSite: string | undefined;
}

/**
 * True for what a browser sends on behalf of another site, and that may change something. The rules are those of Go's
 * CrossOriginProtection (net/http, since 1.25).
 */
export function isCrossOrigin({ method, host, origin, fetchSite }: OriginFacts): boolean {
  if (["GET", "HEAD", "OPTIONS"].includes(method)) return false;
  if (fetchSite) return fetchSite !== "same-origin" && fetchSite !== "none";
  if (!origin) return false; // No browser, or one that has no reason to say where it comes from.
  return !URL.canParse(origin) || new URL(origin).host !== (host ?? "").toLowerCase();
}
