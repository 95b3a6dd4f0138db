import { expect, test } from "vitest";
import { refusals } from "../../src/core/project-rules.ts";
import {
  batchStage,
  errorsOf,
  fileWith,
  parse,
  projectOf,
  serviceStage,
  type Written,
  warningsOf,
} from "./support/project-file.ts";

test("a sound project is neither refused nor warned about", () => {
  expect(refusals(projectOf(fileWith()))).toEqual([]);
  expect(warningsOf(fileWith())).toEqual([]);
});

const refused: readonly (readonly [changes: Readonly<Record<string, Written>>, message: string])[] = [
  [
    { "pipeline.DAG": "measure, measure, measure >> forecast" },
    "pipeline.DAG -> names stage measure more than once in step 1",
  ],
  [
    { "pipeline.run_on_failure": "forecast" },
    "pipeline.run_on_failure -> stage forecast is a service; only a batch stage can run on failure",
  ],
  [
    { "stages.measure.needs": "[forecast]", "stages.forecast.needs": "[measure]" },
    "stages.measure.needs -> these stages wait for each other: measure needs forecast needs measure",
  ],
  [
    { "stages.forecast.service.replicas": "0" },
    "stages.forecast.service.replicas -> a service without replicas never starts",
  ],
  [
    { "stages.forecast.service.max_startup_time_seconds": "0" },
    "stages.forecast.service.max_startup_time_seconds -> no service starts in 0 seconds",
  ],
  [
    { "stages.forecast.service.port": "0" },
    "stages.forecast.service.port -> is not a port: they go from 1 to 65535",
  ],
  [
    { "stages.forecast.service.port": "65536" },
    "stages.forecast.service.port -> is not a port: they go from 1 to 65535",
  ],
  [
    { "pipeline.docker_image": "bad:me/image:1" },
    "pipeline.docker_image -> Invalid Docker image specified: bad:me/image:1",
  ],
  [
    { "stages.measure.secrets": "{PYTHONPATH: db, TOKEN: db, BODYWORK_GIT_SSH_PRIVATE_KEY: db}" },
    "stages.measure.secrets.PYTHONPATH -> is a variable of Bodywork's or the system's own; give the secret's key another name",
  ],
  [
    { "stages.measure.executable_module_path": "a/../../b.py" },
    "stages.measure.executable_module_path -> leads outside the repository",
  ],
  [
    { "stages.measure.executable_module_path": "/b.py" },
    "stages.measure.executable_module_path -> leads outside the repository",
  ],
  [
    { "stages.measure.requirements_file": "../r.txt" },
    "stages.measure.requirements_file -> leads outside the repository",
  ],
  [
    { "pipeline.DAG": "measure >> forecast, Forecast", "stages.Forecast": serviceStage() },
    "stages.Forecast -> has the same name as stage forecast once deployed: forecast",
  ],
];

test.each(refused)(
  "what would certainly fail is valid, and refused when it is deployed: %j",
  (changes, message) => {
    const file = fileWith(changes);
    const found = refusals(projectOf(file));
    expect(found.map((problem) => [problem.severity, problem.message])).toEqual([["error", message]]);
    const warning = parse(file).problems.find((problem) => problem.message === message);
    expect(warning).toMatchObject({ severity: "warning", code: found[0]?.code, path: found[0]?.path });
    expect(warning?.line).toBeGreaterThan(1);
  },
);

test("a stage in several steps is not refused, nor one twice in a step when needs decide the order", () => {
  expect(refusals(projectOf(fileWith({ "pipeline.DAG": "measure >> forecast >> measure" })))).toEqual([]);
  const file = fileWith({
    "pipeline.DAG": "measure, measure, forecast",
    "stages.forecast.needs": "[measure]",
  });
  expect(refusals(projectOf(file))).toEqual([]);
});

const advised: readonly (readonly [
  changes: Readonly<Record<string, Written>>,
  messages: readonly string[],
])[] = [
  [
    { "stages.measure.memory_request_md": "5" },
    ["stages.measure.memory_request_md -> unknown key, ignored; did you mean memory_request_mb?"],
  ],
  [
    { "pipeline.secrets-group": "x" },
    ["pipeline.secrets-group -> unknown key, ignored; did you mean secrets_group?"],
  ],
  [{ "stages.measure.Args": "[]" }, ["stages.measure.Args -> unknown key, ignored; did you mean args?"]],
  [
    { "stages.measure.batch.memory_limit": "5" },
    ["stages.measure.batch.memory_limit -> unknown key, ignored"],
  ],
  [
    { "stages.forecast.service.helath_path": "/x" },
    ["stages.forecast.service.helath_path -> unknown key, ignored; did you mean health_path?"],
  ],
  [{ "logging.level": "INFO" }, ["logging.level -> unknown key, ignored"]],
  [{ project: "{}" }, ["project -> unknown key, ignored; did you mean pipeline?"]],
  [{ "x-anchors": "{}" }, []],
  [{ "stages.spare": batchStage() }, ["stages.spare -> runs in no step: pipeline.DAG does not name it"]],
  [{ "stages.alarm": batchStage(), "pipeline.run_on_failure": "alarm" }, []],
  [
    { "pipeline.name": "North.Sea" },
    ["pipeline.name -> Kubernetes takes no namespace North.Sea: it has capital letters"],
  ],
  [{ "pipeline.name": "North.Sea", "pipeline.namespace": "north" }, []],
  [
    { "pipeline.namespace": `"${"n".repeat(64)}"` },
    [
      `pipeline.namespace -> Kubernetes takes no namespace ${"n".repeat(64)}: it is longer than 63 characters`,
    ],
  ],
  [
    { "pipeline.DAG": "measure >> Check >> forecast", "stages.Check": batchStage() },
    ["stages.Check -> Kubernetes takes no name Check: it has capital letters"],
  ],
  [
    {
      "pipeline.DAG": "measure >> a_b >> a-b >> forecast",
      "stages.a_b": batchStage(),
      "stages.a-b": serviceStage(),
    },
    ["stages.a-b -> has the same name as stage a_b once deployed: a-b"],
  ],
  [
    { "stages.measure.requirements": "[numpy, 'joblib=0.17.0', 'a [x] = 1']" },
    [
      "stages.measure.requirements -> joblib=0.17.0 is no requirement; did you mean joblib==0.17.0?",
      "stages.measure.requirements -> a [x] = 1 is no requirement; did you mean a==1?",
    ],
  ],
  [
    {
      "stages.measure.requirements":
        "[pickle, 'DateTime>=5', 'json==1', 'pickle5', 'typing-extensions', 'uuid @ https://x.test/u.whl']",
    },
    [
      "stages.measure.requirements -> pickle is part of Python; what a package index has under that name is something else",
      "stages.measure.requirements -> DateTime is part of Python; what a package index has under that name is something else",
      "stages.measure.requirements -> json is part of Python; what a package index has under that name is something else",
    ],
  ],
  [
    {
      "stages.measure.requirements":
        "['a===1', 'a~=1', 'a!=1', 'a>=1,<2', '--index-url=https://x.test', '-r', 'git+https://x.test/a?b=c', '', ' ']",
    },
    [],
  ],
  [
    { "stages.measure.secrets": "{USER: tide-db, KEY: Tide-Db}" },
    [
      "stages.measure.secrets.KEY -> cannot be the name of a secret on Kubernetes: those have small letters, digits, dots and hyphens",
    ],
  ],
  [
    { "stages.measure.cpu_request": ".inf" },
    ["stages.measure.cpu_request -> is no number of cores that a machine could have"],
  ],
  [
    { "stages.measure.batch.memory_limit_mb": "100" },
    ["stages.measure.batch.memory_limit_mb -> is less than memory_request_mb, 120"],
  ],
  [
    { "stages.forecast.service.memory_limit_mb": "89", "stages.forecast.cpu_limit": "0.2" },
    [
      "stages.forecast.service.memory_limit_mb -> is less than memory_request_mb, 90",
      "stages.forecast.cpu_limit -> is less than cpu_request, 0.25",
    ],
  ],
  [
    { "stages.measure.kubernetes.node_selectors": "{}", "pipeline.kubernetes.toleration": "[]" },
    [
      "pipeline.kubernetes.toleration -> unknown key, ignored; did you mean tolerations?",
      "stages.measure.kubernetes.node_selectors -> unknown key, ignored; did you mean node_selector?",
    ],
  ],
  // Settings that only Kubernetes knows are no mistake here.
  [{ "stages.measure.gpu_request": "1", "stages.measure.kubernetes.security": "restricted" }, []],
];

test.each(advised)("what looks wrong is a warning and no error: %j", (changes, messages) => {
  expect(errorsOf(fileWith(changes))).toEqual([]);
  expect(warningsOf(fileWith(changes))).toEqual(messages);
});

test("a misspelt key is found out next to the one that is missing", () => {
  const file = fileWith({
    "stages.measure.memory_request_mb": undefined,
    "stages.measure.memory_request_md": "5",
  });
  expect(errorsOf(file)).toEqual(["stages.measure.memory_request_mb -> required field"]);
  expect(warningsOf(file)).toEqual([
    "stages.measure.memory_request_md -> unknown key, ignored; did you mean memory_request_mb?",
  ]);
});

test("a misspelt section is found out, too", () => {
  const file = fileWith().replace("pipeline:", "pipelines:");
  expect(warningsOf(file)).toEqual(["pipelines -> unknown key, ignored; did you mean pipeline?"]);
});

test.each(["1.1", "1.0", "1"])("the version %s without quotes is explained", (version) => {
  expect(warningsOf(fileWith({ version }))).toEqual([
    'version -> is a number here; a version is a text and needs quotes, as in "1.1"',
  ]);
  expect(warningsOf(fileWith({ "pipeline.python": version }))).toContain(
    'pipeline.python -> is a number here; a version is a text and needs quotes, as in "3.11"',
  );
});

test.each([
  ["measure-tides", "measure_tides"],
  ["MEASURE_TIDES", "measure_tides"],
  ["measuretides", "measure_tides"],
  ['"measure_tides\\t"', "measure_tides"],
])("the DAG's name %s is told from stage %s", (written, stage) => {
  const file = fileWith({ "pipeline.DAG": written, [`stages.${stage}`]: batchStage() });
  expect(errorsOf(file)).toHaveLength(1);
  expect(warningsOf(file).find((message) => message.includes("did you mean"))).toMatch(
    /^pipeline.DAG -> names ".+"; did you mean stage measure_tides\?$/,
  );
});

test.each([
  "AKIAQXWERTYUIOPLKJHG",
  "ghpAbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
  "0123456789abcdef0123456789abcdef",
  "6f1c2b3a-0d4e-4f5a-8b6c-7d8e9f0a1b2c",
  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
  "q8Zr2LmXw0TnY4Bd",
])("a credential where a secret's name belongs is noticed, and never repeated: %s", (credential) => {
  const found = parse(fileWith({ "stages.measure.secrets": `{TOKEN: ${credential}}` })).problems;
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject({
    severity: "warning",
    code: "literal-credential",
    path: "stages.measure.secrets.TOKEN",
  });
  expect(JSON.stringify(found)).not.toContain(credential);
});

test.each(["aws-credentials", "mlflow-config", "db", "score-api-2", "team.secret-store-production-1"])(
  "%s is a secret's name and no credential",
  (secret) => {
    expect(warningsOf(fileWith({ "stages.measure.secrets": `{TOKEN: ${secret}}` }))).toEqual([]);
  },
);

test("repeated keys are told with both their lines", () => {
  const { problems } = parse(`${fileWith()}logging:\n  log_level: ERROR\n`);
  expect(problems).toEqual([
    {
      severity: "warning",
      code: "repeated-key",
      path: "logging",
      message: "logging -> repeats the key of line 23; the last one counts",
      line: 25,
      column: 1,
    },
  ]);
});

test("warnings come in the order of the file", () => {
  const { problems } = parse(
    fileWith({
      "logging.b": "1",
      "pipeline.zz": "1",
      "stages.measure.requirements": "[pickle]",
      "stages.spare": batchStage(),
    }),
  );
  const lines = problems.map(({ line }) => line ?? 0);
  expect(lines).toHaveLength(4);
  expect(lines).toEqual(lines.toSorted((a, b) => a - b));
});
