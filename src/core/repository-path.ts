/**
 * A path relative to a folder of the repository (`""` is its root) as the plain path from the root; undefined when it is
 * absolute or leads outside.
 */
export function pathInRepository(folder: string, path: string): string | undefined {
  if (path.startsWith("/")) return undefined;
  const parts: string[] = [];
  for (const part of `${folder}/${path}`.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts.join("/");
}

/** `etl/load.py` → `etl`; `""` for a file in the root. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
