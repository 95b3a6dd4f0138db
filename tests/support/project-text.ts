import { batch, projectFile, service } from "./pipelines.ts";

/** The files of a project whose stages are named `batch` or `service` (or their own lines) and have a module each. */
export function project(
  dag: string,
  stages: Readonly<Record<string, "batch" | "service" | readonly string[]>>,
  more: { readonly name?: string; readonly pipeline?: readonly string[] } = {},
): Readonly<Record<string, string>> {
  const lines = Object.entries(stages).map(([name, kind], index): [string, readonly string[]] => [
    name,
    kind === "batch" ? batch() : kind === "service" ? service(5000 + index) : kind,
  ]);
  return {
    "bodywork.yaml": projectFile({
      name: more.name ?? "story",
      dag,
      stages: Object.fromEntries(lines),
      pipeline: more.pipeline ?? [],
    }),
    ...Object.fromEntries(Object.keys(stages).map((name) => [`${name}.py`, ""])),
  };
}
