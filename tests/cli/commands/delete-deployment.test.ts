import { describe, expect, test } from "vitest";
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
