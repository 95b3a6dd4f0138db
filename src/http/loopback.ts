/** Whether a host is this machine itself: `127.0.0.0/8`, `::1` (with brackets or without), `localhost`. */
export function isLoopback(host: string): boolean {
  return /^(127(\.\d{1,3}){3}|\[?::1\]?|localhost)$/i.test(host);
}
