import { describe, expect, test } from "vitest";
import { Failure } from "../../../src/core/failure.ts";
import { aService } from "../support/records.ts";
import { run, type TerminalOptions } from "../support/terminal.ts";

describe("delete deployment", () => {
  test("deletes and says so on standard output", async () => {
    const { result, deleted } = await del("delete deployment my-project");
    expect(result).toMatchObject({ exitCode: 0, stdout: "deployment=my-project deleted.\n" });
    expect(result.stderr).toBe("engine: local (no kubeconfig on this machine)\n");
    expect(deleted).toEqual(["my-project"]);
  });

  test("says with 0 that there is none of that name", async () => {
    const { result } = await del("delete deployments gone", {}, false);
    expect(result).toMatchObject({ exitCode: 0, stdout: "deployment=gone could not be found\n" });
  });

  test("gives a record with --output", async () => {
    const { result } = await del("delete deployment my-project --output json");
    expect(JSON.parse(result.stdout)).toEqual({ deployment: "my-project", found: true });
  });

  test.each(["y", "yes", " Y "])("asks on a terminal, and goes on with %j", async (answer) => {
    const { result, deleted } = await del("delete deployment my-project", { answers: [answer] });
    expect(result.asked).toEqual([
      "Delete deployment my-project with its services, routes, runs and files? [y/N] ",
    ]);
    expect(result.exitCode).toBe(0);
    expect(deleted).toEqual(["my-project"]);
  });

  test.each([["n"], [""], ["yeah"], []])("deletes nothing with any other answer: %j", async (...answers) => {
    const { result, deleted } = await del("delete deployment my-project", { answers });
    expect(result).toMatchObject({ exitCode: 1, stdout: "" });
    expect(result.stderr).toContain("Aborted!\n");
    expect(deleted).toEqual([]);
  });

  test("asks nothing with --yes", async () => {
    const { result, deleted } = await del("delete deployment my-project --yes", { answers: ["n"] });
    expect(result.asked).toEqual([]);
    expect(deleted).toEqual(["my-project"]);
  });
});

describe("delete deployment NAME SERVICE", () => {
  const service = aService({ stage: "stage_3", name: "stage-3" });

  test("deletes that service alone, and says that it comes back", async () => {
    const asked: unknown[] = [];
    const deleteService = async (...given: unknown[]) => {
      asked.push(given);
      return service;
    };
    const result = await run("delete deployment my-project stage_3", { operations: { deleteService } });
    expect(asked).toEqual([["my-project", "stage_3"]]);
    expect(result).toMatchObject({ exitCode: 0, stdout: "Deleted service=stage-3\n" });
    expect(result.stderr).toContain("The next deployment of my-project brings it back.\n");
    const json = await run("delete deployment my-project stage-3 --output json", {
      operations: { deleteService },
    });
    expect(JSON.parse(json.stdout)).toEqual({ deployment: "my-project", service: "stage-3", found: true });
  });

  test("says with 0 that there is none, and which there are", async () => {
    const deleteService = async () => {
      throw new Failure("not-found", "There is none.", { hint: "Services of it: stage-3." });
    };
    const result = await run("delete deployment my-project nope", { operations: { deleteService } });
    expect(result).toMatchObject({ exitCode: 0, stdout: "Could not find service=nope\n" });
    expect(result.stderr).toContain("Services of it: stage-3.\n");
    expect(result.stderr).not.toContain("brings it back");
  });

  test("fails when it can't be deleted", async () => {
    const deleteService = async () => {
      throw new Failure("server-unreachable", "The server does not answer.");
    };
    expect((await run("delete deployment my-project x", { operations: { deleteService } })).exitCode).toBe(1);
  });

  test("asks on a terminal", async () => {
    const result = await run("delete deployment my-project stage-3", {}, { answers: ["n"] });
    expect(result.asked).toEqual(["Delete service stage-3 of deployment my-project, with its route? [y/N] "]);
    expect(result).toMatchObject({ exitCode: 1, stdout: "" });
  });
});

describe("delete deployment --async", () => {
  const deleteJob = async (id: string) => ({ found: id === "async-workflow-foo" });

  test("deletes the job and says so in the original's words", async () => {
    expect(
      await run("delete deployment --async async-workflow-foo", { operations: { deleteJob } }),
    ).toMatchObject({
      exitCode: 0,
      stdout: "Deleted workflow-job=async-workflow-foo\n",
    });
  });

  test("says with 0 that there is none of that name", async () => {
    expect(await run("delete deployment foo --async", { operations: { deleteJob } })).toMatchObject({
      exitCode: 0,
      stdout: "Could not find workflow-job=foo\n",
    });
    const json = await run("delete deployment foo --async --output json", { operations: { deleteJob } });
    expect(JSON.parse(json.stdout)).toEqual({ job: "foo", found: false, cancelled: [] });
  });

  test("says which job that was, and what it has cancelled", async () => {
    const deleteIt = async () => ({ found: true, id: "async-workflow-foo", cancelled: ["20261123-1"] });
    const { stdout, stderr } = await run("delete deployment Foo --async", {
      operations: { deleteJob: deleteIt },
    });
    expect(stdout).toBe("Deleted workflow-job=async-workflow-foo\n");
    expect(stderr).toContain("Cancelled run 20261123-1 of it.\n");
  });

  test("asks on a terminal, unless --yes", async () => {
    const line = "delete deployment --async async-workflow-foo";
    const refused = await run(line, { operations: { deleteJob } }, { answers: ["n"] });
    expect(refused).toMatchObject({
      exitCode: 1,
      asked: ["Delete workflow-job async-workflow-foo with its runs and logs? [y/N] "],
    });
    const sure = await run(`${line} --yes`, { operations: { deleteJob } }, { answers: [] });
    expect(sure).toMatchObject({ exitCode: 0, asked: [] });
  });

  test("a job has no service", async () => {
    expect((await run("delete deployment --async a b", { operations: { deleteJob } })).exitCode).toBe(2);
  });
});

async function del(line: string, options: TerminalOptions = {}, found = true) {
  const deleted: string[] = [];
  const operations = {
    deleteDeployment: async (name: string) => {
      deleted.push(name);
      return { found };
    },
  };
  return { result: await run(line, { operations }, options), deleted };
}
