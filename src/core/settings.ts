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
  const document = parseDocument(text, { maxAliasCount: 10 } as object);
  const [syntax] = document.errors;
  if (syntax !== undefined) throw new Failure("usage", `Cannot read the settings ${file}: ${syntax.message}`);
  const parsed = settingsSchema.safeParse(document.toJS() ?? {});
  if (parsed.success) return parsed.data;
  throw new Failure("usage", `Cannot use the settings ${file}.`, {
    details: parsed.error.issues.map(({ path, message }) => `${path.join(".") || "(the file)"}: ${message}`),
    hint: "Keys: engine, listen, insecure_git_hosts, max_parallel_stages, git.fetch_timeout_seconds, git.max_repository_mb.",
  });
}
