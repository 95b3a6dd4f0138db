/**
 * What the original answers, case by case, against what we answer. The cases are not part of this repository: the
 * environment variable BODYWORK_CORPUS names the folder with `validate-cases.jsonl` and `real-files.jsonl`.
 */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../cli/support/terminal.ts";

const folder = process.env.BODYWORK_CORPUS ?? "";
const isThere = folder !== "" && existsSync(folder);

interface ValidateCase {
  readonly id: string;
  readonly desc: string;
  /** Null: there is no file. */
  readonly yaml: string | null;
  readonly yaml_b64?: string;
  readonly args: readonly string[];
  readonly files: readonly string[];
  readonly verdict: "valid" | "invalid" | "usage" | "crash";
  readonly stdout: string;
}

interface RealFile {
  readonly id: string;
  readonly yaml: string;
  readonly exit_v3: number;
  readonly stdout_v3: string;
  readonly exit_v2: number;
  readonly stdout_v2: string;
}

test.skipIf(!isThere)(
  "every variation gets the original's verdict and its items (set BODYWORK_CORPUS)",
  async () => {
    const cases = rows<ValidateCase>("validate-cases.jsonl");
    expect(cases.length).toBeGreaterThan(500);
    const wrong: string[] = [];
    for (const found of cases) {
      const bytes = found.yaml_b64 === undefined ? found.yaml : Buffer.from(found.yaml_b64, "base64");
      const { exitCode, stdout, stderr } = await validate(bytes, found.args, found.files);
      const tell = (what: string): number =>
        wrong.push(`${found.id} ${found.desc}: ${what}\n${stdout}${stderr}`);
      const wanted = { valid: 0, invalid: 1, crash: 1, usage: 2 }[found.verdict];
      if (exitCode !== wanted) tell(`exit ${exitCode}, not ${wanted}`);
      if (found.verdict !== "valid" && stdout + stderr === "") tell("no report");
      if (/\bat \w+.*\.ts:\d+/.test(stdout + stderr)) tell("a stack trace");
      if (found.verdict !== "invalid") continue;
      for (const item of originalItems(found.stdout)) if (!holds(stdout, item)) tell(`lacks ${item}`);
      const headline = found.stdout.split("\n")[0] ?? "";
      if (!holds(stdout, headline)) tell(`lacks ${headline}`);
    }
    expect(wrong).toEqual([]);
  },
);

test.skipIf(!isThere)(
  "every real file that 3.0.12 or 2.1.7 accepts is valid, and no other (set BODYWORK_CORPUS)",
  async () => {
    const files = rows<RealFile>("real-files.jsonl");
    expect(files.length).toBeGreaterThan(150);
    const wrong: string[] = [];
    for (const file of files) {
      const { exitCode, stdout } = await validate(file.yaml, [], []);
      const wanted = file.exit_v3 === 0 || file.exit_v2 === 0 ? 0 : 1;
      if (exitCode !== wanted) wrong.push(`${file.id}: exit ${exitCode}, not ${wanted}\n${stdout}`);
      if (wanted === 0) continue;
      // A file of schema 1.0 has only one item that counts from 3.0.12: that it is one.
      const items = [...originalItems(file.stdout_v3), ...originalItems(file.stdout_v2)];
      for (const item of items) if (!holds(stdout, item)) wrong.push(`${file.id}: lacks ${item}\n${stdout}`);
    }
    expect(wrong).toEqual([]);
  },
);

test("the comparison finds an item that is missing, and one that differs", () => {
  const ours =
    "Missing or invalid parameters found in a.yaml:\n* version (a.yaml:1:1)\n* stages.a.args -> x (a.yaml:2:3)\n";
  expect(holds(ours, "* stages.a.args\n -> x")).toBe(true);
  expect(holds(ours, "* stages.a.args -> y")).toBe(false);
  expect(originalItems("Missing …:\n* one\ntwo\n* three\n")).toEqual(["* one\ntwo", "* three"]);
});

function rows<Row>(name: string): readonly Row[] {
  const lines = readFileSync(join(folder, name), "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Row);
}

function validate(
  content: string | Uint8Array | null,
  args: readonly string[],
  files: readonly string[],
): ReturnType<typeof run> {
  const readProjectFile = async (path: string) =>
    content === null || !path.endsWith("/home/me/bodywork.yaml")
      ? undefined
      : { bytes: Buffer.from(content as string), has: (named: string) => files.includes(named) };
  return run(["validate", ...args], { wiring: { readProjectFile } });
}

/** The original breaks long lines anywhere. */
function originalItems(stdout: string): readonly string[] {
  return stdout
    .split(/^(?=\* )/m)
    .filter((part) => part.startsWith("* "))
    .map((item) => item.trimEnd());
}

/** Whether our report holds a line of the original's, which has lost what its terminal library takes for markup. */
function holds(ours: string, original: string): boolean {
  const wanted = squashed(original);
  return squashed(ours).includes(wanted) || squashed(asMarkup(ours)).includes(wanted);
}

function squashed(text: string): string {
  return text.replace(/\s+/g, "");
}

function asMarkup(text: string): string {
  return text
    .replace(/(\\*)\[([a-z#/@][^[\]]*)\]/g, (tag, backslashes: string) =>
      backslashes.length % 2 === 1 ? tag.slice(1) : "",
    )
    .replaceAll(":bug:", "🐛");
}
