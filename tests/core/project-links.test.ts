import { expect, test } from "vitest";
import { batchStage, errorsOf, fileWith, projectOf, serviceStage } from "./support/project-file.ts";

const outputs = "{table: out/table.csv}";

test("an input from an earlier step is fine, and from a batch stage of the same step for a service", () => {
  const file = (dag: string): string =>
    fileWith({
      "pipeline.DAG": dag,
      "stages.measure.outputs": outputs,
      "stages.forecast.inputs": "{t: measure.table}",
    });
  expect(errorsOf(file("measure >> forecast"))).toEqual([]);
  expect(errorsOf(file("forecast, measure"))).toEqual([]);
  expect(errorsOf(file("forecast >> measure"))).toEqual([
    "stages.forecast.inputs.t -> stage measure does not run before forecast",
  ]);
});

test("two batch stages of one step cannot hand anything to each other", () => {
  const file = fileWith({
    "pipeline.DAG": "measure, check >> forecast",
    "stages.measure.outputs": outputs,
    "stages.check": batchStage({ inputs: "{t: measure.table}" }),
  });
  expect(errorsOf(file)).toEqual(["stages.check.inputs.t -> stage measure does not run before check"]);
});

test("with needs, the maker must be needed, directly or through others", () => {
  const file = (needs: string): string =>
    fileWith({
      "pipeline.DAG": "measure >> check >> forecast",
      "stages.measure.outputs": outputs,
      "stages.check": batchStage({ needs: "[measure]" }),
      "stages.forecast.needs": needs,
      "stages.forecast.inputs": "{t: measure.table}",
    });
  expect(errorsOf(file("[check]"))).toEqual([]);
  expect(errorsOf(file("[measure]"))).toEqual([]);
  expect(errorsOf(file("[]"))).toEqual([
    "stages.forecast.inputs.t -> stage measure does not run before forecast",
  ]);
});

test.each([
  ["nobody.table", "cannot find valid stage: nobody"],
  ["measure.tables", "stage measure has no output tables: it has table, log"],
  ["check.table", "stage check has no output table: it has none"],
  ["spare.table", "stage spare is not in pipeline.DAG, so it does not run"],
])("an input from %s: %s", (from, complaint) => {
  const file = fileWith({
    "pipeline.DAG": "measure >> check >> forecast",
    "stages.measure.outputs": "{table: out/table.csv, log: log.txt}",
    "stages.check": batchStage(),
    "stages.spare": batchStage({ outputs }),
    "stages.forecast.inputs": `{t: ${from}}`,
  });
  expect(errorsOf(file)).toEqual([`stages.forecast.inputs.t -> ${complaint}`]);
});

test("a stage's name may hold dots: the output is what follows the last one", () => {
  const file = fileWith({
    "pipeline.DAG": "sea.measure >> forecast",
    "stages.measure": undefined,
    stages: {
      "sea.measure": batchStage({ outputs }),
      forecast: serviceStage({ inputs: "{t: sea.measure.table}" }),
    },
  });
  expect(projectOf(file).stages.get("forecast")?.inputs).toEqual([
    { name: "t", fromStage: "sea.measure", fromOutput: "table", path: "out/table.csv" },
  ]);
});

test("only batch stages have outputs", () => {
  expect(errorsOf(fileWith({ "stages.forecast.outputs": outputs }))).toEqual([
    "stages.forecast.outputs -> only a batch stage has outputs: a service has no end at which they would be whole",
  ]);
  expect(errorsOf(fileWith({ "stages.forecast.outputs": "{}" }))).toEqual([]);
});

test("outputs and inputs stay inside the repository, seen from the module's folder", () => {
  const file = fileWith({
    "stages.measure.executable_module_path": "a/b/measure.py",
    "stages.measure.outputs": "{up: ../../x, out: ../../../x, low: c/../../../../x}",
    "stages.forecast.executable_module_path": "forecast.py",
    "stages.forecast.inputs": "{up: measure.up, kept: {from: measure.up, path: x}}",
  });
  expect(errorsOf(file)).toEqual([
    "stages.forecast.inputs.up -> leads outside the repository",
    "stages.measure.outputs.low -> leads outside the repository",
    "stages.measure.outputs.out -> leads outside the repository",
  ]);
});

test("needs must name stages of the file that run", () => {
  const file = fileWith({
    "stages.spare": batchStage(),
    "stages.forecast.needs": "[measure, nobody, spare]",
  });
  expect(errorsOf(file)).toEqual([
    "stages.forecast.needs -> cannot find valid stage: nobody",
    "stages.forecast.needs -> stage spare is not in pipeline.DAG, so it does not run",
  ]);
});

test("a stage that does not run may need another that does not", () => {
  const file = fileWith({ "stages.spare": batchStage({ needs: "[other]" }), "stages.other": batchStage() });
  expect(errorsOf(file)).toEqual([]);
});

test("a stage that runs on failure cannot have inputs", () => {
  const file = fileWith({
    "pipeline.run_on_failure": "alarm",
    "stages.measure.outputs": outputs,
    "stages.alarm": batchStage({ inputs: "{t: measure.table}" }),
  });
  expect(errorsOf(file)).toEqual([
    "stages.alarm.inputs -> a stage that runs on failure cannot have inputs: nobody knows what was made before the failure",
  ]);
});

test("the order is not judged while a stage that it may depend on has faults of its own", () => {
  const file = fileWith({
    "pipeline.DAG": "measure >> check >> forecast",
    "stages.measure.outputs": outputs,
    "stages.check": batchStage({ needs: "[measure]", cpu_request: "x" }),
    "stages.forecast.inputs": "{t: measure.table}",
  });
  expect(errorsOf(file)).toEqual(["stages.check.cpu_request -> must be of float type"]);
});
