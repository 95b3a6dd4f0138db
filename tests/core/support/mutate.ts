import type { Random } from "../../support/random.ts";
import { batchStage, fileWith, serviceStage } from "./project-file.ts";

/** A valid file with a few things broken: values and keys first, then lines, then bytes; sometimes nothing. */
export function mutatedFile(random: Random): Buffer {
  let text = random.pick(validFiles);
  const kinds = [mutateValue, mutateKey, mutateLine, insertFragment] as const;
  for (let count = random.below(4); count > 0; count -= 1) {
    // What keeps the file readable comes more often, or the parser behind the reader would see little.
    const kind = random.chance(0.6) ? random.pick(kinds.slice(0, 2)) : random.pick(kinds);
    text = kind(text, random);
  }
  const bytes = Buffer.from(text);
  if (!random.chance(0.1)) return bytes;
  return flipBytes(bytes, random);
}

const validFiles = [
  fileWith(),
  fileWith({
    "pipeline.DAG": "measure, check >> forecast, web >> report",
    "pipeline.run_on_failure": "alarm",
    "pipeline.namespace": "sea",
    "pipeline.python": '"3.11"',
    "stages.measure.outputs": "{table: out/table.csv, log: log.txt}",
    "stages.measure.requirements": "[pandas==2.2.3, joblib]",
    "stages.check": batchStage({ args: '["a", "1"]', secrets: "{A: tide-db, B: tide-db}" }),
    "stages.web": serviceStage({ inputs: "{table: measure.table}" }),
    "stages.report": batchStage({ inputs: "{log: {from: measure.log, path: in/log.txt}}" }),
    "stages.alarm": batchStage(),
  }),
  fileWith({
    "stages.measure.needs": "[]",
    "stages.measure.outputs": "{m: m.bin}",
    "stages.forecast.needs": "[measure]",
    "stages.forecast.inputs": "{m: measure.m}",
    "stages.forecast.service.health_path": "/ok",
    "stages.measure.batch.memory_limit_mb": "400",
    "stages.measure.cpu_limit": "2",
    "stages.measure.kubernetes": "{extra: {a: [1, {b: null}]}, tolerations: [{key: spot}]}",
    "pipeline.kubernetes": "{node_selector: {a: b}, extra: {a: c}}",
  }),
  fileWith({ version: '"1.0"' }).replace(/^pipeline:/m, "project:"),
  `x: &common
  executable_module_path: a/b.py
  cpu_request: 1
  memory_request_mb: 10
version: "1.1"
pipeline: {name: tides, docker_image: python, DAG: "a >>
  b"}
stages:
  a:
    <<: *common
    batch: &batch {retries: 0, max_completion_time_seconds: 1}
  b: {<<: *common, batch: *batch}
logging:
  log_level: >-
    INFO
`,
];

const values = [
  ...[
    "null",
    "~",
    "''",
    "[]",
    "{}",
    "yes",
    "0",
    "-1",
    "1.5",
    "1e3",
    "017",
    "1:30",
    ".nan",
    "-.inf",
    "2024-01-01",
  ],
  ...[
    "[null]",
    "[[a]]",
    "{a: {b: c}}",
    "{1: x, yes: y, ~: z}",
    "!!set {a, b}",
    "!!binary aGk=",
    "!!int x",
    "*common",
  ],
  ...[
    "&x [*x]",
    "a >> b",
    "a,,b",
    ">>",
    "measure",
    "measure >> measure",
    "measure, measure",
    "nobody.m",
    "measure.m",
  ],
  ...[
    "../x.py",
    "/x.py",
    "x.ipynb",
    "a\\nb",
    '"a\\nb"',
    '"\\ud800"',
    "'1.1'",
    "'1.0'",
    "1.1",
    "__proto__",
    "constructor",
  ],
  ...[
    "[forecast]",
    "[measure]",
    "{m: measure.m}",
    "{m: {from: measure.m}}",
    "{m: ../../../x}",
    "|\n        x",
    ">\n  y",
  ],
  ...[
    "99999999999999999999999",
    "0x1F",
    "python:3.11",
    "\u202e",
    "😀",
    "{constructor: x, __proto__: y}",
    "x".repeat(300),
  ],
];

const keys = [
  ...[
    "version",
    "pipeline",
    "project",
    "stages",
    "logging",
    "name",
    "DAG",
    "batch",
    "service",
    "needs",
    "inputs",
  ],
  ...[
    "outputs",
    "secrets",
    "args",
    "cpu_request",
    "memory_request_md",
    "log_level",
    "replicas",
    "python",
    "<<",
  ],
  ...[
    "1",
    "yes",
    "~",
    "null",
    "__proto__",
    "constructor",
    "? x",
    "''",
    '"a\\tb"',
    "measure",
    "forecast",
    "=",
    "x-y",
  ],
];

const fragments = [
  ...[
    "\t",
    "\r",
    "\u0085",
    "\u2028",
    "\ufeff",
    "\0",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "- ",
    "? ",
    ": ",
    "&a ",
    "*a",
  ],
  ...[
    "!!str ",
    "!x ",
    "<<: ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "'",
    '"',
    "\\",
    "#",
    " #",
    "|\n",
    ">-\n",
    "@",
    "`",
    "%",
    "\n",
    "  ",
  ],
];

function mutateValue(text: string, random: Random): string {
  return onLine(text, random, (line) => line.replace(/: .*$|:$/, `: ${random.pick(values)}`));
}

function mutateKey(text: string, random: Random): string {
  return onLine(text, random, (line) => line.replace(/[\w-]+:/, `${random.pick(keys)}:`));
}

/** Removes, repeats, moves or indents one line. */
function mutateLine(text: string, random: Random): string {
  const lines = text.split("\n");
  const at = random.below(lines.length);
  const line = lines[at] ?? "";
  const changed = random.pick([[], [line, line], [`  ${line}`], [line.trimStart()], [`# ${line}`]]);
  lines.splice(at, 1, ...changed);
  if (random.chance(0.2)) lines.splice(random.below(lines.length), 0, line);
  return lines.join("\n");
}

function insertFragment(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  return text.slice(0, at) + random.pick(fragments) + text.slice(at);
}

function onLine(text: string, random: Random, change: (line: string) => string): string {
  const lines = text.split("\n");
  const at = random.below(lines.length);
  lines[at] = change(lines[at] ?? "");
  return lines.join("\n");
}

function flipBytes(bytes: Buffer, random: Random): Buffer {
  const flipped = Buffer.from(bytes);
  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    const at = random.below(flipped.length);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
  }
  return flipped.subarray(0, random.chance(0.3) ? random.below(flipped.length) : flipped.length);
}
