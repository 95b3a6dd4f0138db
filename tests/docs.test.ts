import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readCommandLine } from "../src/cli/read-command-line.ts";
import { failureCatalogue } from "../src/core/failure.ts";
import { parseProject } from "../src/core/parse-project.ts";
import { parseSettings } from "../src/core/settings.ts";

const root = join(import.meta.dirname, "..");
const pages = globSync(["*.md", "docs/**/*.md", "examples/**/*.md"], {
  cwd: root,
  exclude: ["node_modules/**"],
}).sort();

interface Block {
  readonly language: string;
  readonly text: string;
}

function textOf(page: string): string {
  return readFileSync(join(root, page), "utf8");
}

function blocksOf(page: string): readonly Block[] {
  return [...textOf(page).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = "", text = ""]) => ({
    language,
    text,
  }));
}

/** Command lines of `bodywork` in code blocks, indented code and `inline code`, without what the shell does with them. */
function commandsOf(page: string): readonly string[] {
  const text = textOf(page);
  const lines = [
    ...blocksOf(page)
      .filter(({ language }) => language === "sh")
      .flatMap((block) => block.text.replaceAll("\\\n", " ").split("\n")),
    ...[...text.matchAll(/^ {4}(bodywork .*)$/gm)].map(([, line = ""]) => line),
    ...[...text.matchAll(/`(bodywork [a-z][^`]*)`/g)].map(([, line = ""]) => line),
  ];
  return lines
    .map((line) => line.trim())
    .filter((line) => /^bodywork [a-z-]/.test(line) && !line.includes("…"))
    .map((line) => line.replace(/ [>|].*$/, ""));
}

test("there are pages to check, with commands and files in them", () => {
  expect(pages.length).toBeGreaterThan(8);
  expect(pages.flatMap(commandsOf).length).toBeGreaterThan(20);
});

test.each(pages.filter((page) => commandsOf(page).length > 0))(
  "every command line in %s is one that the tool takes",
  (page) => {
    for (const line of commandsOf(page)) {
      const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? "");
      const read = readCommandLine(words.slice(1), undefined);
      // A sentence may name a command without what it is given.
      if (read.kind === "usage-error" && read.text.includes("Error: Missing ")) continue;
      expect(read.kind === "usage-error" ? read.text : read.kind, line).toMatch(/^(command|help|version)$/);
    }
  },
);

test.each(pages)("every link of %s leads to something", (page) => {
  for (const [, target = ""] of textOf(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    expect(existsSync(join(root, dirname(page), target)), target).toBe(true);
  }
});

const wholeFiles = pages.flatMap((page) =>
  blocksOf(page)
    .filter(({ language, text }) => language === "yaml" && text.includes("version:"))
    .map(({ text }) => [page, text] as const),
);

test.each(wholeFiles)("the project file shown in %s is valid, without a warning", (_, text) => {
  const { project, problems } = parseProject(text, { fileName: "bodywork.yaml" });
  expect(problems).toEqual([]);
  expect(project).toBeDefined();
});

test("the settings that the documents show are settings", () => {
  const shown = pages
    .flatMap(blocksOf)
    .filter(({ language, text }) => language === "yaml" && /^(engine|insecure_git_hosts):/m.test(text));
  expect(shown.length).toBeGreaterThan(1);
  for (const { text } of shown) expect(() => parseSettings(text, "settings.yaml")).not.toThrow();
});

test("the page of errors has a row for each code, and no other", () => {
  const rows = [...textOf("docs/reference/errors.md").matchAll(/^\| `([a-z-]+)` \|/gm)].map(
    ([, code]) => code,
  );
  expect(rows).toEqual(Object.keys(failureCatalogue));
});

test("every npm script that the documents name is there", () => {
  const { scripts } = JSON.parse(textOf("package.json")) as { scripts: Record<string, string> };
  const named = pages.flatMap((page) =>
    [...textOf(page).matchAll(/`npm run ([a-z-]+)/g)].map(([, name = ""]) => name),
  );
  expect([...new Set(named)].filter((name) => !(name in scripts))).toEqual([]);
});
