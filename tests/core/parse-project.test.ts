import { expect, test } from "vitest";
import about from "../../package.json" with { type: "json" };
import { plainPod } from "../support/tasks.ts";
import {
  batchStage,
  errorsOf,
  fileWith,
  parse,
  projectOf,
  serviceStage,
  warningsOf,
} from "./support/project-file.ts";

test("a valid file becomes a project with its defaults filled in", () => {
  expect(projectOf(fileWith())).toEqual({
    schemaVersion: "1.1",
    pipeline: {
      name: "tide-tables",
      dockerImage: "python:3.12-slim",
      dag: "measure >> forecast",
      steps: [["measure"], ["forecast"]],
      namespace: "tide-tables",
      secretsGroup: undefined,
      runOnFailure: undefined,
      python: "3.12",
    },
    stages: new Map([
      [
        "measure",
        {
          kind: "batch",
          name: "measure",
          modulePath: "tides/measure.py",
          args: [],
          cpuRequest: 0.5,
          memoryRequestMb: 120,
          cpuLimit: undefined,
          memoryLimitMb: undefined,
          gpuRequest: 0,
          pod: plainPod,
          requirements: [],
          requirementsFile: undefined,
          secrets: {},
          needs: undefined,
          outputs: {},
          inputs: [],
          maxCompletionTimeSeconds: 40,
          retries: 1,
        },
      ],
      [
        "forecast",
        {
          kind: "service",
          name: "forecast",
          modulePath: "tides/forecast.py",
          args: [],
          cpuRequest: 0.25,
          memoryRequestMb: 90,
          cpuLimit: undefined,
          memoryLimitMb: undefined,
          gpuRequest: 0,
          pod: plainPod,
          requirements: [],
          requirementsFile: undefined,
          secrets: {},
          needs: undefined,
          outputs: {},
          inputs: [],
          maxStartupTimeSeconds: 30,
          replicas: 2,
          port: 7000,
          ingress: true,
          healthPath: undefined,
        },
      ],
    ]),
    logLevel: "INFO",
  });
  expect(parse(fileWith()).problems).toEqual([]);
});

test("every optional key arrives where the rest of the tool looks for it", () => {
  const { pipeline, stages, logLevel } = projectOf(
    fileWith({
      "pipeline.namespace": "sea",
      "pipeline.secrets_group": "harbour",
      "pipeline.run_on_failure": "alarm",
      "pipeline.python": '"3.13"',
      "pipeline.usage_stats": "false",
      "stages.alarm": batchStage(),
      "stages.measure.args": '["--all", "7"]',
      "stages.measure.requirements": "[pandas==2.2.3, --extra-index-url, 'https://x.test']",
      "stages.measure.requirements_file": "tides/requirements.txt",
      "stages.measure.secrets": "{Z_USER: tide-db, A_PASSWORD: tide-db}",
      "stages.measure.outputs": "{table: out/table.csv}",
      "stages.measure.batch.memory_limit_mb": "500",
      "stages.forecast.inputs": "{table: measure.table, again: {from: measure.table, path: old/t.csv}}",
      "stages.forecast.needs": "[measure]",
      "stages.forecast.service.health_path": "/ok",
      "logging.log_level": "DEBUG",
    }),
  );
  expect(pipeline).toMatchObject({
    namespace: "sea",
    secretsGroup: "harbour",
    runOnFailure: "alarm",
    python: "3.13",
  });
  const measure = stages.get("measure");
  expect(measure).toMatchObject({
    args: ["--all", "7"],
    requirements: ["pandas==2.2.3", "--extra-index-url", "https://x.test"],
    requirementsFile: "tides/requirements.txt",
    outputs: { table: "out/table.csv" },
    memoryLimitMb: 500,
  });
  expect(Object.keys(measure?.secrets ?? {})).toEqual(["Z_USER", "A_PASSWORD"]);
  expect(stages.get("forecast")).toMatchObject({
    needs: ["measure"],
    healthPath: "/ok",
    inputs: [
      { name: "table", fromStage: "measure", fromOutput: "table", path: "out/table.csv" },
      { name: "again", fromStage: "measure", fromOutput: "table", path: "old/t.csv" },
    ],
  });
  expect(logLevel).toBe("DEBUG");
});

test("settings of pods are those of the stage over those of the pipeline, key by key", () => {
  const { stages } = projectOf(
    fileWith({
      "pipeline.kubernetes": `
    node_selector: {arch: arm64, pool: cpu}
    tolerations: [{key: spot, operator: Exists}]
    image_pull_secrets: [our-registry, another]
    security: restricted
    service_account_token: yes
    extra: {priorityClassName: low, dnsConfig: {options: [{name: ndots}], searches: [a]}}`,
      "stages.measure.cpu_limit": "2",
      "stages.measure.gpu_request": "1",
      "stages.forecast.service.memory_limit_mb": "256",
      "stages.forecast.kubernetes": `
      node_selector: {pool: gpu}
      tolerations: []
      image_pull_secrets: [mine]
      service_account_token: no
      security: baseline
      extra: {dnsConfig: {searches: [b], nameservers: null}, hostAliases: []}`,
    }),
  );
  expect(stages.get("measure")).toMatchObject({
    cpuLimit: 2,
    gpuRequest: 1,
    memoryLimitMb: undefined,
    pod: {
      nodeSelector: { arch: "arm64", pool: "cpu" },
      tolerations: [{ key: "spot", operator: "Exists" }],
      imagePullSecrets: ["our-registry", "another"],
      serviceAccountToken: true,
      security: "restricted",
    },
  });
  expect(stages.get("forecast")).toMatchObject({ gpuRequest: 0, memoryLimitMb: 256 });
  expect(stages.get("forecast")?.pod).toEqual({
    nodeSelector: { arch: "arm64", pool: "gpu" },
    tolerations: [],
    imagePullSecrets: ["mine"],
    serviceAccountToken: false,
    security: "baseline",
    extra: {
      priorityClassName: "low",
      dnsConfig: { options: [{ name: "ndots" }], searches: ["b"], nameservers: null },
      hostAliases: [],
    },
  });
});

/** Path, what is written there, and the reason after the arrow; undefined: accepted. */
const keyTable: readonly (readonly [
  path: string,
  written: string | undefined,
  reason: string | undefined,
])[] = [
  ["pipeline.name", "NORTH.sea-2", undefined],
  ["pipeline.name", "-edge-", undefined],
  ["pipeline.name", "n".repeat(300), undefined],
  ["pipeline.name", undefined, "required field"],
  ["pipeline.name", "null", "null value not allowed"],
  ["pipeline.name", "7", "must be of string type"],
  ["pipeline.name", "north_sea", "value does not match regex '[a-zA-Z0-9-\\.]+'"],
  ["pipeline.name", "north sea", "value does not match regex '[a-zA-Z0-9-\\.]+'"],
  ["pipeline.name", "''", "value does not match regex '[a-zA-Z0-9-\\.]+'"],
  ["pipeline.name", "Nordsee-ä", "value does not match regex '[a-zA-Z0-9-\\.]+'"],
  ["pipeline.name", '"a\\nb"', "value does not match regex '[a-zA-Z0-9-\\.]+'"],
  ["pipeline.docker_image", "''", undefined],
  ["pipeline.docker_image", "any {text}", undefined],
  ["pipeline.docker_image", undefined, "required field"],
  ["pipeline.docker_image", "3.11", "must be of string type"],
  ["pipeline.DAG", undefined, "required field"],
  ["pipeline.DAG", "~", "null value not allowed"],
  ["pipeline.DAG", "[measure]", "must be of string type"],
  ["pipeline.DAG", "measure >> , >> forecast", "null stages found in step 2, 2 when parsing DAG definition"],
  ["pipeline.usage_stats", "off", undefined],
  ["pipeline.usage_stats", "0", "must be of boolean type"],
  ["pipeline.usage_stats", '"false"', "must be of boolean type"],
  ["pipeline.usage_stats", "null", "null value not allowed"],
  ["pipeline.run_on_failure", "''", undefined],
  ["pipeline.run_on_failure", "[]", "must be of string type"],
  ["pipeline.run_on_failure", "null", "null value not allowed"],
  ["pipeline.namespace", "Any_Thing", undefined],
  ["pipeline.namespace", "8", "must be of string type"],
  ["pipeline.namespace", "null", "null value not allowed"],
  ["pipeline.secrets_group", "''", undefined],
  ["pipeline.secrets_group", "1.5", "must be of string type"],
  ["pipeline.python", '"3.11"', undefined],
  ["pipeline.python", '"3.11.4"', undefined],
  ["pipeline.python", "3.11", "must be of string type"],
  ["pipeline.python", '"2.7"', "value does not match regex '3.N'"],
  ["logging.log_level", "CRITICAL", undefined],
  ["logging.log_level", undefined, "required field"],
  ["logging.log_level", "warning", "unallowed value warning"],
  ["logging.log_level", "''", "unallowed value "],
  ["logging.log_level", "yes", "must be of string type"],
  ["logging.log_level", "null", "null value not allowed"],
  ["stages.measure.executable_module_path", "a.ipynb", undefined],
  ["stages.measure.executable_module_path", "../x/.py.py", undefined],
  ["stages.measure.executable_module_path", "/abs/x.py", undefined],
  ["stages.measure.executable_module_path", undefined, "required field"],
  ["stages.measure.executable_module_path", ".py", "value does not match regex '.+\\.(py|ipynb)$'"],
  ["stages.measure.executable_module_path", "x.PY", "value does not match regex '.+\\.(py|ipynb)$'"],
  ["stages.measure.executable_module_path", '"x.py "', "value does not match regex '.+\\.(py|ipynb)$'"],
  ["stages.measure.executable_module_path", '"a\\nb.py"', "value does not match regex '.+\\.(py|ipynb)$'"],
  ["stages.measure.args", "[]", undefined],
  ["stages.measure.args", '["", a, "1"]', undefined],
  ["stages.measure.args", "a", "must be of list type"],
  ["stages.measure.args", "{}", "must be of list type"],
  ["stages.measure.args", "null", "null value not allowed"],
  ["stages.measure.args", "[a, 1]", '[{"1": ["must be of string type"]}]'],
  ["stages.measure.args", "[2020-02-03]", '[{"0": ["must be of string type"]}]'],
  [
    "stages.measure.args",
    "[null, a, yes, 1.5]",
    '[{"0": ["null value not allowed"], "2": ["must be of string type"], "3": ["must be of string type"]}]',
  ],
  ["stages.measure.cpu_request", "0", undefined],
  ["stages.measure.cpu_request", "true", undefined],
  ["stages.measure.cpu_request", ".inf", undefined],
  ["stages.measure.cpu_request", ".nan", undefined],
  ["stages.measure.cpu_request", "2.0e-1", undefined],
  ["stages.measure.cpu_request", undefined, "required field"],
  ["stages.measure.cpu_request", "2e-1", "must be of float type"],
  ["stages.measure.cpu_request", "500m", "must be of float type"],
  ["stages.measure.cpu_request", '"1"', "must be of float type"],
  ["stages.measure.cpu_request", "-0.1", "min value is 0.0"],
  ["stages.measure.cpu_request", "-.inf", "min value is 0.0"],
  ["stages.measure.memory_request_mb", "0", undefined],
  ["stages.measure.memory_request_mb", "no", undefined],
  ["stages.measure.memory_request_mb", "017", undefined],
  ["stages.measure.memory_request_mb", "1_000", undefined],
  ["stages.measure.memory_request_mb", "1:30", undefined],
  ["stages.measure.memory_request_mb", "9".repeat(40), undefined],
  ["stages.measure.memory_request_mb", undefined, "required field"],
  ["stages.measure.memory_request_mb", "1.0", "must be of integer type"],
  ["stages.measure.memory_request_mb", "0o17", "must be of integer type"],
  ["stages.measure.memory_request_mb", "1e3", "must be of integer type"],
  ["stages.measure.memory_request_mb", "-1", "min value is 0"],
  ["stages.measure.requirements", '[""]', undefined],
  ["stages.measure.requirements", "numpy", "must be of list type"],
  ["stages.measure.requirements", "null", "null value not allowed"],
  ["stages.measure.requirements", "[[numpy]]", '[{"0": ["must be of string type"]}]'],
  ["stages.measure.requirements_file", "requirements.txt", undefined],
  ["stages.measure.requirements_file", "[]", "must be of string type"],
  ["stages.measure.requirements_file", "/etc/x", "value does not match regex '[^/].*'"],
  ["stages.measure.secrets", "{}", undefined],
  ["stages.measure.secrets", "{'': Any-thing.1, 'A B': x}", undefined],
  ["stages.measure.secrets", "[]", "must be of dict type"],
  ["stages.measure.secrets", "null", "null value not allowed"],
  ["stages.measure.secrets", "{A: 1}", '[{"A": ["must be of string type"]}]'],
  ["stages.measure.secrets", "{A: null}", '[{"A": ["null value not allowed"]}]'],
  ["stages.measure.secrets", "{A: b_c}", `[{"A": ["value does not match regex '[a-zA-Z0-9-\\\\.]+'"]}]`],
  [
    "stages.measure.secrets",
    "{B: 1, 10: x, A: 2, 9: x}",
    '[{"9": ["must be of string type"], "10": ["must be of string type"], "A": ["must be of string type"], "B": ["must be of string type"]}]',
  ],
  ["stages.measure.secrets", "{é: 1}", '[{"\\u00e9": ["must be of string type"]}]'],
  ["stages.measure.needs", "forecast", "must be of list type"],
  ["stages.measure.needs", "[1]", '[{"0": ["must be of string type"]}]'],
  ["stages.measure.outputs", "{m: m.bin, dir: ../tides/dir}", undefined],
  ["stages.measure.outputs", "[m.bin]", "must be of dict type"],
  ["stages.measure.outputs", "{a.b: x}", `[{"a.b": ["value does not match regex '[a-zA-Z0-9_-]+'"]}]`],
  ["stages.measure.outputs", "{a: /x}", `[{"a": ["value does not match regex '[^/].*'"]}]`],
  ["stages.measure.inputs", "[a]", "must be of dict type"],
  ["stages.measure.inputs", "{a: nodot}", `[{"a": ["value does not match regex 'STAGE.OUTPUT'"]}]`],
  ["stages.measure.inputs", "{a: {path: x}}", '[{"a": ["from: required field"]}]'],
  ["stages.measure.inputs", "{a: [x]}", '[{"a": ["must be of string or dict type"]}]'],
  ["stages.measure.batch", "null", "null value not allowed"],
  ["stages.measure.batch", "[]", "must be of dict type"],
  ["stages.measure.batch", "now", "must be of dict type"],
  ["stages.measure.batch.max_completion_time_seconds", "0", undefined],
  ["stages.measure.batch.max_completion_time_seconds", undefined, "required field"],
  ["stages.measure.batch.max_completion_time_seconds", "1.5", "must be of integer type"],
  ["stages.measure.batch.max_completion_time_seconds", "-3", "min value is 0"],
  ["stages.measure.batch.retries", "yes", undefined],
  ["stages.measure.batch.retries", undefined, "required field"],
  ["stages.measure.batch.retries", '"1"', "must be of integer type"],
  ["stages.measure.batch.retries", "-1", "min value is 0"],
  ["stages.measure.batch.memory_limit_mb", "1", undefined],
  ["stages.measure.batch.memory_limit_mb", "0", "min value is 1"],
  ["stages.measure.batch.memory_limit_mb", "null", "null value not allowed"],
  ["stages.forecast.service.memory_limit_mb", "0", "min value is 1"],
  ["stages.measure.cpu_limit", "1", undefined],
  ["stages.measure.cpu_limit", "0", "must be more than 0"],
  ["stages.measure.cpu_limit", "-0.5", "min value is 0.0"],
  ["stages.measure.cpu_limit", "500m", "must be of float type"],
  ["stages.measure.gpu_request", "0", undefined],
  ["stages.measure.gpu_request", "-1", "min value is 0"],
  ["stages.measure.kubernetes", "null", "null value not allowed"],
  ["stages.measure.kubernetes", "[]", "must be of dict type"],
  ["stages.measure.kubernetes.node_selector", "{a: 1}", '[{"a": ["must be of string type"]}]'],
  ["stages.measure.kubernetes.tolerations", "[x]", '[{"0": ["must be of dict type"]}]'],
  [
    "stages.measure.kubernetes.image_pull_secrets",
    "[a_b]",
    `[{"0": ["value does not match regex '[a-zA-Z0-9-\\\\.]+'"]}]`,
  ],
  ["stages.measure.kubernetes.service_account_token", '"yes"', "must be of boolean type"],
  ["stages.measure.kubernetes.security", "privileged", "unallowed value privileged"],
  ["stages.measure.kubernetes.extra", "{a: null, b: [{c: 1.5}]}", undefined],
  [
    "stages.measure.kubernetes.extra",
    "{a: 2026-01-01}",
    '[{"a": ["must not be of date type; put it in quotes"]}]',
  ],
  ["stages.measure.kubernetes.extra", "{a: .inf}", '[{"a": ["must be a finite number"]}]'],
  ["stages.measure.kubernetes.extra", "{1: a}", '[{"1": ["must be of string type"]}]'],
  ["pipeline.kubernetes.extra", "null", "null value not allowed"],
  ["stages.forecast.service", "null", "null value not allowed"],
  ["stages.forecast.service", "5", "must be of dict type"],
  ["stages.forecast.service.max_startup_time_seconds", "0", undefined],
  ["stages.forecast.service.max_startup_time_seconds", undefined, "required field"],
  ["stages.forecast.service.max_startup_time_seconds", "x", "must be of integer type"],
  ["stages.forecast.service.replicas", "0", undefined],
  ["stages.forecast.service.replicas", undefined, "required field"],
  ["stages.forecast.service.replicas", "[]", "must be of integer type"],
  ["stages.forecast.service.port", "99999", undefined],
  ["stages.forecast.service.port", undefined, "required field"],
  ["stages.forecast.service.port", "-1", "min value is 0"],
  ["stages.forecast.service.ingress", "no", undefined],
  ["stages.forecast.service.ingress", undefined, "required field"],
  ["stages.forecast.service.ingress", "1", "must be of boolean type"],
  ["stages.forecast.service.ingress", '"true"', "must be of boolean type"],
  ["stages.forecast.service.health_path", "/v1/ok?x=1", undefined],
  ["stages.forecast.service.health_path", "ok", "value does not match regex '/.*'"],
  ["stages.forecast.service.health_path", "true", "must be of string type"],
];

test.each(keyTable)("%s: %j -> %s", (path, written, reason) => {
  const expected = reason === undefined ? [] : [`${path} -> ${reason}`];
  expect(errorsOf(fileWith({ [path]: written }))).toEqual(expected);
});

test("unknown keys are allowed at every level, whatever they hold", () => {
  const file = fileWith({
    extra: "[1, {a: null}]",
    "pipeline.extra": "null",
    "logging.extra": "1",
    "stages.measure.gpu": "{a: b}",
    "stages.measure.batch.extra": "1.5",
    "stages.forecast.service.extra": "~",
  });
  expect(errorsOf(file)).toEqual([]);
});

test.each([
  ["", "it holds nothing", undefined],
  ["# only a comment\n", "it holds nothing", undefined],
  ["[]", "its top level is no mapping of keys", 1],
  ["just text", "its top level is no mapping of keys", 1],
  ["null", "its top level is no mapping of keys", 1],
  ["a: b: c", "a value with its own colon cannot stand here; put it in quotes", 1],
  ["a: 1\n\tb: 2", "a tab cannot be used to indent or before a value; use spaces", 2],
  ["a: 1\n---\nb: 2", "a second document starts here; a project file has one", 2],
  ["a: !!python/object:os.system x", "the tag tag:yaml.org,2002:python/object:os.system is not known", 1],
  ["a: *nobody", "*nobody names an anchor that is not defined above", 1],
])("what is no mapping in YAML is refused as a whole: %j", (text, reason, line) => {
  expect(parse(text)).toEqual({
    project: undefined,
    problems: [
      expect.objectContaining({
        severity: "error",
        path: "",
        message: `Cannot parse YAML from bodywork.yaml: ${reason}`,
        line,
      }),
    ],
  });
});

test("bytes that are no UTF-8 are a report, not a crash", () => {
  expect(errorsOf(Buffer.from(fileWith().replace("tide-tables", "mar\xe9es"), "latin1"))).toEqual([
    "Cannot parse YAML from bodywork.yaml: the file is not in UTF-8",
  ]);
  expect(errorsOf(Buffer.from(`\ufeff${fileWith()}`, "utf16le"))).toEqual([
    "Cannot parse YAML from bodywork.yaml: the file is in UTF-16; save it as UTF-8",
  ]);
});

test("the four sections are looked for at once, in their order, before anything else", () => {
  const missing = (file: string): readonly string[] => errorsOf(file);
  expect(missing("{}")).toEqual([
    "Bodywork config file missing sections: version, pipeline, stages, logging",
  ]);
  expect(missing(fileWith({ logging: undefined, version: "nonsense", "pipeline.name": "_" }))).toEqual([
    "Bodywork config file missing sections: logging",
  ]);
  expect(missing("pipelines: {}\nversion: '1.1'\nstages: {}\nlogging: {}")).toEqual([
    "Bodywork config file missing sections: pipeline",
  ]);
});

test.each(["1.1", "1", "null", "[1.1]", "true", '"1"', '"1.1.0"', "''", '"not the version"'])(
  "the version %s is none, and nothing else is looked at",
  (written) => {
    expect(errorsOf(fileWith({ version: written, "pipeline.name": "_" }))).toEqual(["version"]);
  },
);

test.each(["1.2", "0.1", "v1.1", " 1.1", "1.0", "a.b"])("the version %j is of another schema", (version) => {
  expect(errorsOf(fileWith({ version: `"${version}"`, "pipeline.name": "_" }))).toEqual([
    `Bodywork config file has schema version ${version}, when Bodywork version ${about.version} requires schema version 1.1`,
  ]);
});

test("errors of all sections are listed together, sorted by code point", () => {
  const file = fileWith({
    "logging.log_level": undefined,
    "pipeline.docker_image": undefined,
    "stages.measure.batch": undefined,
    "stages.forecast.batch": "{}",
    "stages.spare": batchStage({ cpu_request: "x" }),
    "stages.Über": batchStage({ cpu_request: "x" }),
    "stages.😀": batchStage({ cpu_request: "x" }),
    "stages.ﬀ": batchStage({ cpu_request: "x" }),
  });
  expect(errorsOf(file)).toEqual([
    "logging.log_level -> required field",
    "pipeline.docker_image -> required field",
    "pipeline.workflow -> cannot find valid stage @ stages.forecast",
    "pipeline.workflow -> cannot find valid stage @ stages.measure",
    "stages.forecast.batch/service",
    "stages.measure.batch/service",
    "stages.spare.cpu_request -> must be of float type",
    "stages.Über.cpu_request -> must be of float type",
    "stages.ﬀ.cpu_request -> must be of float type",
    "stages.😀.cpu_request -> must be of float type",
  ]);
});

test("the sections that are no mappings are reported as such", () => {
  expect(errorsOf(fileWith({ pipeline: "null", logging: "[]" }))).toEqual([
    "logging -> must be of dict type",
    "pipeline -> null value not allowed",
  ]);
  expect(errorsOf(fileWith({ pipeline: "{}" }))).toEqual([
    "pipeline.DAG -> required field",
    "pipeline.docker_image -> required field",
    "pipeline.name -> required field",
  ]);
});

test.each(["null", "[]", "nothing", "5", "!!set {measure, forecast}"])(
  "stages: %s holds no stages",
  (written) => {
    expect(errorsOf(fileWith({ stages: written }))).toEqual([
      "pipeline.workflow -> cannot find valid stage @ stages.forecast",
      "pipeline.workflow -> cannot find valid stage @ stages.measure",
      "stages._ - no stage configs provided",
    ]);
  },
);

test("an empty mapping of stages lacks those that the DAG names, each time that it does", () => {
  expect(errorsOf(fileWith({ stages: "{}", "pipeline.DAG": "a, a >> b" }))).toEqual([
    "pipeline.workflow -> cannot find valid stage @ stages.a",
    "pipeline.workflow -> cannot find valid stage @ stages.a",
    "pipeline.workflow -> cannot find valid stage @ stages.b",
  ]);
});

test.each([
  ["null", ["stages.spare -> null value not allowed"]],
  ["batch", ["stages.spare -> must be of dict type"]],
  ["[batch]", ["stages.spare -> must be of dict type"]],
  ["7", ["stages.spare -> must be of dict type"]],
  ["{}", []],
  ["{batch: {}, service: null}", []],
  ["{cpu_request: nonsense}", []],
])("a stage that is %s is neither batch nor service", (written, more) => {
  expect(errorsOf(fileWith({ "stages.spare": written }))).toEqual([...more, "stages.spare.batch/service"]);
});

test("a stage with a wrong key is there all the same: the DAG is not to blame", () => {
  expect(errorsOf(fileWith({ "stages.measure.cpu_request": undefined }))).toEqual([
    "stages.measure.cpu_request -> required field",
  ]);
});

test("the failure hook must be a stage of the file, in the DAG or not", () => {
  expect(errorsOf(fileWith({ "pipeline.run_on_failure": "alarm" }))).toEqual([
    "pipeline.run_on_failure -> cannot find valid stage: alarm to run on workflow failure.",
  ]);
  expect(errorsOf(fileWith({ "pipeline.run_on_failure": "alarm", "stages.alarm": batchStage() }))).toEqual(
    [],
  );
});

test("a stage whose name is no text cannot be named, and its faults are reported under its name", () => {
  const file = fileWith({
    "pipeline.DAG": "'2'",
    "stages.2": batchStage(),
    "stages.yes": batchStage({ args: "x" }),
  });
  expect(errorsOf(file)).toEqual([
    "pipeline.workflow -> cannot find valid stage @ stages.2",
    "stages.True.args -> must be of list type",
  ]);
  expect(warningsOf(file)).toContain(
    "stages.2 -> is a name of type int, which the DAG cannot name; put it in quotes",
  );
});

test("with files at hand, every module and requirements file must be among them", () => {
  const file = fileWith({
    "stages.spare": batchStage({ executable_module_path: "./gone.py", requirements_file: "gone.txt" }),
    "stages.measure.executable_module_path": "tides/../tides/./measure.py",
    "stages.forecast.executable_module_path": "../outside.py",
  });
  expect(errorsOf(file, new Set(["tides/measure.py"]))).toEqual([
    "stages.forecast.executable_module_path -> does not exist",
    "stages.spare.executable_module_path -> does not exist",
    "stages.spare.requirements_file -> does not exist",
  ]);
  expect(errorsOf(file, new Set(["tides/measure.py", "gone.py", "gone.txt", "../outside.py"]))).toEqual([]);
  expect(errorsOf(file)).toEqual([]);
});

test("the faults of a stage do not hide that its module is missing", () => {
  expect(errorsOf(fileWith({ "stages.measure.cpu_request": "x" }), new Set(["tides/forecast.py"]))).toEqual([
    "stages.measure.cpu_request -> must be of float type",
    "stages.measure.executable_module_path -> does not exist",
  ]);
});

test("a file of schema 1.0 is read, with its section and its prefixes", () => {
  const old = (changes = {}): string =>
    fileWith({ version: '"1.0"', ...changes }).replace(/^pipeline:/m, "project:");
  expect(projectOf(old())).toMatchObject({ schemaVersion: "1.0", pipeline: { name: "tide-tables" } });
  expect(errorsOf(old({ "pipeline.DAG": "nobody", "pipeline.name": "_" }))).toEqual([
    "project.name -> value does not match regex '[a-zA-Z0-9-\\.]+'",
    "project.workflow -> cannot find valid stage @ stages.nobody",
  ]);
  expect(errorsOf(old({ "stages.measure.executable_module_path": "a.ipynb" }))).toEqual([
    "stages.measure.executable_module_path -> value does not match regex '.+(\\.py$)'",
  ]);
  expect(errorsOf(old({ logging: undefined }))).toEqual(["Bodywork config file missing sections: logging"]);
  expect(errorsOf(old({ version: '"1.1"' }))).toEqual(["Bodywork config file missing sections: pipeline"]);
  expect(errorsOf(old({ version: "1.0" }))).toEqual(["version"]);
});

test("every problem has its place: a value's own, the key's for what is missing, the DAG's for its names", () => {
  const { problems } = parse(
    fileWith({
      "pipeline.DAG": "measure >> nobody",
      "stages.measure.args": "[a, 1]",
      "stages.measure.batch.retries": undefined,
      "stages.spare": "{}",
    }),
  );
  expect(
    problems
      .filter(({ severity }) => severity === "error")
      .map(({ path, line, column }) => [path, line, column]),
  ).toEqual([
    ["pipeline.DAG", 5, 8],
    ["stages.measure.args", 13, 15],
    ["stages.measure.batch.retries", 11, 5],
    ["stages.spare.batch/service", 23, 3],
  ]);
});

test("values that end with a line break pass, as in the original, and lose it", () => {
  const file = fileWith({
    "pipeline.name": "|\n    tides\n",
    "stages.measure.executable_module_path": '"a.py\\n"',
    "stages.measure.secrets": '{A: "x\\n"}',
    "stages.forecast": serviceStage(),
  });
  const { pipeline, stages } = projectOf(file);
  expect(pipeline).toMatchObject({ name: "tides", namespace: "tides" });
  expect(stages.get("measure")).toMatchObject({ modulePath: "a.py", secrets: { A: "x" } });
  expect(warningsOf(file)).toEqual(["pipeline.name -> ends with a line break, which is left out"]);
});

test("merge keys and anchors are read, and a repeated key's last value counts", () => {
  const file = `x-common: &common {cpu_request: 1, memory_request_mb: 1, executable_module_path: m.py}
version: "1.1"
pipeline: {name: tides, docker_image: python, DAG: a}
stages:
  a:
    <<: *common
    cpu_request: 2
    batch: {retries: 0, retries: 3, max_completion_time_seconds: 1}
logging: {log_level: INFO}
`;
  expect(projectOf(file).stages.get("a")).toMatchObject({ cpuRequest: 2, retries: 3, modulePath: "m.py" });
  expect(warningsOf(file)).toEqual(["retries -> repeats the key of line 8; the last one counts"]);
});

test("names that every object has by birth are names like any other", () => {
  const file = fileWith({
    "pipeline.DAG": "constructor >> __proto__",
    stages: { constructor: batchStage({ outputs: "{toString: a.bin}" }), __proto: undefined },
  }).replace(
    "logging:",
    "  __proto__: {executable_module_path: a.py, cpu_request: 1, memory_request_mb: 1, batch: {retries: 0, max_completion_time_seconds: 1}, inputs: {valueOf: constructor.valueOf}, secrets: {__proto__: x}}\nlogging:",
  );
  expect(errorsOf(file)).toEqual([
    "stages.__proto__.inputs.valueOf -> stage constructor has no output valueOf: it has toString",
  ]);
});
