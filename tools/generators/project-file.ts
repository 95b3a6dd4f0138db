import { mostDagNames } from "../../src/core/dag.ts";
import { projectJsonSchema } from "../../src/core/json-schema.ts";
import {
  type KeySpec,
  type Keys,
  kindKeys,
  loggingKeys,
  pipelineKeys,
  podKeys,
  schemaVersions,
  stageKeys,
  topLevelSummaries,
  type ValueSpec,
} from "../../src/core/project-schema.ts";
import { yamlLimits } from "../../src/core/yaml/problem.ts";

/** docs/reference/project-file.md and bodywork.schema.json, from the description that `validate` checks by. */
export async function generate(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ["docs/reference/project-file.md", `${page().join("\n\n")}\n`],
    ["docs/reference/bodywork.schema.json", `${JSON.stringify(projectJsonSchema(), null, 2)}\n`],
  ]);
}

function page(): readonly string[] {
  return [
    opening,
    "## The file",
    table(
      ["Section", "Holds"],
      Object.entries(topLevelSummaries).map(([key, summary]) => [code(key), summary]),
    ),
    "Keys that are not listed here are ignored, with a warning. Top-level keys that begin with `x-` are yours, to keep what anchors name.",
    "## pipeline",
    keysTable(pipelineKeys),
    dag,
    "## stages",
    "Any name will do that the DAG can name. Names that Kubernetes would refuse, or that become one there, get a warning.",
    keysTable(stageKeys("1.1")),
    "### batch",
    "The stage runs to its end.",
    keysTable(kindKeys.batch),
    "### service",
    "The stage keeps answering requests.",
    keysTable(kindKeys.service),
    "### kubernetes",
    kubernetes,
    keysTable(podKeys),
    order,
    handingOn,
    "## logging",
    keysTable(loggingKeys),
    problems,
    yaml,
    schema10,
  ];
}

const opening = `# bodywork.yaml

Made from the description that \`bodywork validate\` checks by (\`npm run generate\`); do not edit. Keys marked *new* are not in
the original; they are all optional, and every file of the original stays valid.

Editors complete and check the file by its JSON Schema. Write it once:

    bodywork schema > bodywork.schema.json

and name it in the first line of \`bodywork.yaml\` (the YAML extension of VS Code, IntelliJ and Neovim read this):

    # yaml-language-server: $schema=./bodywork.schema.json`;

const dag = `### DAG

\`a, b >> c\` is two steps: \`a\` and \`b\` side by side, then \`c\`. Spaces mean nothing. A step starts when everything of the step
before it has succeeded; inside a step the services start when its batch stages have succeeded. A stage may be in several
steps; twice in one step is refused when it is deployed. A DAG holds at most ${mostDagNames} names.`;

const kubernetes = `*New.* \`pipeline.kubernetes\` holds for all stages; \`kubernetes\` of a stage wins over it, key by key. \`node_selector\` and
\`extra\` are merged, a list replaces the pipeline's. Nothing here means anything to the local engine.

    pipeline:
      kubernetes:
        image_pull_secrets: [our-registry]
    stages:
      train:
        gpu_request: 1
        kubernetes:
          node_selector: { pool: gpu }
          tolerations:
            - { key: nvidia.com/gpu, operator: Exists, effect: NoSchedule }`;

const order = `## Order by needs

When any stage has \`needs\`, only needs make a stage wait: each starts as soon as all that it needs have succeeded (a service:
is serving), and a stage without needs starts at once. The DAG then says no more than which stages run. Stages that wait for
each other are refused when they are deployed.

    train:
      needs: [clean_data]`;

const handingOn = `## Outputs and inputs

A batch stage names the files and folders that it makes; another stage asks for them, and finds a copy in its place before it
starts. The maker must run before the taker, by the DAG's steps or by needs, directly or through others.

    stages:
      train:
        executable_module_path: pipeline/train.py
        outputs:
          model: model.joblib
      serve:
        executable_module_path: pipeline/serve.py
        inputs:
          model: train.model                                   # put at pipeline/model.joblib
          old: { from: train.model, path: models/old.joblib }  # put at pipeline/models/old.joblib`;

const problems = `## What validate says

\`bodywork validate\` lists every error, in the form of the original with its place in the file:

    Missing or invalid parameters found in bodywork.yaml:
    * stages.train.memory_request_mb -> required field (bodywork.yaml:9:3)
    Warning: stages.train.memory_request_md -> unknown key, ignored; did you mean memory_request_mb? (bodywork.yaml:12:5)

Warnings are about what the original accepts and what hardly anyone means. They change the exit code only with \`--strict\`:

- keys that are not known, and keys that are repeated;
- stages that no step runs;
- names that Kubernetes refuses, or that become one there;
- \`package=1.0\`, and modules of Python itself, among the requirements;
- a credential where the name of a secret belongs;
- a version that is a number because it has no quotes.

Some warnings are about what would certainly fail; \`create deployment\` takes them for errors before anything starts: a stage
twice in one step, a service that is to run on failure, stages that wait for each other, no replicas, no time to start, a port
that is none, an image that is none, a path that leads outside the repository, two services with one address.`;

const yaml = `## YAML

The file is read as YAML 1.1 in UTF-8, as the Python world reads it: \`yes\` and \`on\` are true, \`017\` is fifteen, \`1:30\` is ninety,
\`1e3\` and \`0o17\` are texts, and an unquoted date is no text. A key with \`null\` is not a key left out.

A file may have ${yamlLimits.bytes / 1024 / 1024} MiB, ${yamlLimits.keysPerMapping} keys in a mapping, ${yamlLimits.values} values with every alias written out, and ${yamlLimits.nesting} levels of nesting.`;

const schema10 = `## Schema 1.0

Files of version \`"1.0"\` are read as well. Their section \`${schemaVersions["1.0"].section}\` is what \`${schemaVersions["1.1"].section}\` is now, and their modules end in \`.py\`.`;

function keysTable(keys: Keys): string {
  const rows = Object.entries(keys).map(([key, spec]) => [
    code(key),
    shownType(spec.value),
    presence(spec),
    meaning(spec),
  ]);
  return table(["Key", "Type", "If left out", "Meaning"], rows);
}

function presence({ required, default: preset }: KeySpec): string {
  return required === true ? "**required**" : (preset ?? "");
}

function meaning({ summary, value, added }: KeySpec): string {
  const allowed =
    value.kind === "string" && value.allowed !== undefined
      ? ` One of ${value.allowed.map(code).join(", ")}.`
      : "";
  const inner =
    value.kind === "dict" && value.values.kind === "string or dict"
      ? Object.entries(value.values.keys).map(([key, spec]) => ` ${code(key)}: ${spec.summary}`)
      : [];
  return `${added === true ? "*New.* " : ""}${summary}${allowed}${inner.join("")}`;
}

function shownType(value: ValueSpec): string {
  switch (value.kind) {
    case "string":
      return value.pattern === undefined ? "text" : `text like ${code(value.pattern.shown)}`;
    case "integer":
      return `whole number, ${value.min} or more`;
    case "float":
      return value.above === true ? `number, more than ${value.min}` : `number, ${value.min} or more`;
    case "boolean":
      return "`true` or `false`";
    case "list":
      return `list of ${plural(value.items)}`;
    case "dict":
      return value.values.kind === "any" ? "mapping" : `mapping of names to ${plural(value.values)}`;
    case "string or dict":
      return `${shownType(value.text)}, or a mapping`;
    case "section":
      return "mapping, see [kubernetes](#kubernetes)";
    case "any":
      return "anything";
  }
}

function plural(value: ValueSpec): string {
  return shownType(value).replace(/^(text|mapping)/, "$1s");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---|").join("")}`, ...rows.map(line)].join("\n");
}

function code(text: string): string {
  return `\`${text}\``;
}
