import { expect, test } from "vitest";
import { healthy } from "../../support/doctor-facts.ts";
import { run } from "../support/terminal.ts";

test("doctor prints a line for each thing, with what to do, and exits with 0 when all can work", async () => {
  const facts = { ...healthy, uv: undefined };
  const { exitCode, stdout, stderr } = await run("doctor", { wiring: { doctorFacts: async () => facts } });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(stdout.split("\n").slice(0, 3)).toEqual([
    "ok       git: 2.39.5",
    "ok       python: 3.11.2 (/usr/bin/python3.11)",
    "ok       uv: not found → Nothing to do: it is installed into the home folder when it is first needed.",
  ]);
});

test("doctor exits with 1 when there is a problem, and with 0 when there are only warnings", async () => {
  const warned = { ...healthy, ingress: { ...healthy.ingress, state: "taken" as const } };
  const soSo = await run("doctor", { wiring: { doctorFacts: async () => warned } });
  expect(soSo.exitCode).toBe(0);
  expect(soSo.stdout).toMatch(/^warning {2}ingress at 127\.0\.0\.1:8080: .* → /m);
  const ill = { ...healthy, git: undefined };
  const bad = await run("doctor --output json", { wiring: { doctorFacts: async () => ill } });
  expect(bad.exitCode).toBe(1);
  expect(JSON.parse(bad.stdout)[0]).toEqual({
    level: "problem",
    what: "git",
    found: "not found",
    advice: expect.stringContaining("Install git"),
  });
});
