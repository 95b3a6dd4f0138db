import { parseDocument } from "yaml";
import { z } from "zod";

import { Failure } from "./failure.ts";

/** The user's settings, `settings.yaml` in the home folder; every key is optional. */
const settingsSchema = z.strictObject({
  /** Which engine commands act on when nothing else says. */
  engine: z.enum(["local", "kubernetes"]).optional(),
  /** Public address of the ingress, `HOST:PORT`. */
  listen: z
    .string()
    .regex(/^[^\s:]+:\d{1,5}$/, "must be HOST:PORT")
    .optional(),
  /** Hosts from which repositories may be cloned over plain http. */
  insecure_git_hosts: z.array(z.string().min(1)).default([]),
  /** Batch stages of one run that may run at once; 8 or twice the number of cores, whichever is more, by default. */
  max_parallel_stages: z.int().min(1).optional(),
  git: z
    .strictObject({
      /** Seconds that a fetch may take. */
      fetch_timeout_seconds: z.int().min(1).default(600),
      /** Mebibytes that a repository may grow to. */
      max_repository_mb: z.int().min(1).default(4096),
    })
    .prefault({}),
});

export type Settings = z.infer<typeof settingsSchema>;

/** Reads the text of the settings file. Throws `usage` with every problem: settings are ours, not a pipeline's. */
export function parseSettings(text: string, file: string): Settings {
  const parsed = settingsSchema.safeParse(readValues(text, file) ?? {});
  if (parsed.success) return parsed.data;
  throw new Failure("usage", `Cannot use the settings ${file}.`, {
    details: parsed.error.issues.map(({ path, message }) => `${path.join(".") || "(the file)"}: ${message}`),
    hint: `Keys: ${keys.join(", ")}.`,
  });
}

const keys = Object.keys(settingsSchema.shape).flatMap((key) =>
  key === "git" ? Object.keys(settingsSchema.shape.git.unwrap().shape).map((below) => `git.${below}`) : [key],
);

function readValues(text: string, file: string): unknown {
  const document = parseDocument(text);
  try {
    const [syntax] = document.errors;
    if (syntax !== undefined) throw syntax;
    return document.toJS({ maxAliasCount: 10 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure("usage", `Cannot read the settings ${file}: ${why}`);
  }
}
