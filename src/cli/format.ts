/** `0.4s`, `12.3s`, `2m05s`, `1h02m`. */
export function duration(milliseconds: number): string {
  const tenths = Math.max(0, Math.round(milliseconds / 100));
  if (tenths < 600) return `${(tenths / 10).toFixed(1)}s`;
  const seconds = Math.round(tenths / 10);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
}

/** Between two ISO times; to `now` (milliseconds) while there is no end; empty when it never started. */
export function between(start: string | undefined, end: string | undefined, now: number): string {
  if (start === undefined) return "";
  return duration((end === undefined ? now : Date.parse(end)) - Date.parse(start));
}

/** `812 B`, `1.2 MiB`. */
export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** The first 12 digits of a digest or key, without its algorithm. */
export function shortDigest(digest: string): string {
  return digest.replace(/^[a-z0-9]+[:-](?=[0-9a-f]{12})/, "").slice(0, 12);
}

/** As the original writes times: `2026-11-23 19:05:12+00:00` from an ISO time in UTC; empty when there is none. */
export function time(iso: string | undefined): string {
  return iso === undefined ? "" : iso.replace("T", " ").replace(/(\.\d+)?Z$/, "+00:00");
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
