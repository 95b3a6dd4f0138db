import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import type { KubernetesObject } from "../client/cluster.ts";
import { labels } from "../vocabulary.ts";

/**
 * What runs inside a stage's pod, as a ConfigMap that never changes: its name is the digest of what it holds, so that a
 * newer version of this tool makes another one beside it, and pods that run keep theirs.
 */
export function programObject(namespace: string): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: programName(),
      namespace,
      labels: {
        [labels.app]: labels.appValue,
        [labels.managedBy]: labels.appValue,
        [labels.part]: "program",
      },
    },
    immutable: true,
    data: programFiles(),
  };
}

/** Name of the ConfigMap, the same in every namespace. */
export function programName(): string {
  return `bodywork-program-${digestOf(programFiles()).slice(0, 16)}`;
}

let files: Readonly<Record<string, string>> | undefined;

/** File name → text. */
function programFiles(): Readonly<Record<string, string>> {
  files ??= {
    "start.sh": readFileSync(new URL("./start.sh", import.meta.url), "utf8"),
    "run_stage.py": readFileSync(new URL("./run_stage.py", import.meta.url), "utf8"),
    "mask_log.py": readFileSync(new URL("../../local/mask_log.py", import.meta.url), "utf8"),
    "run_notebook.py": readFileSync(new URL("../../local/run_notebook.py", import.meta.url), "utf8"),
  };
  return files;
}

function digestOf(content: Readonly<Record<string, string>>): string {
  const hash = createHash("sha256");
  for (const [name, text] of Object.entries(content)) hash.update(`${name}\0${text}\0`);
  return hash.digest("hex");
}
