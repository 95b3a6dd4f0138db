import { behaviourSections } from "../../tests/support/compatibility/behaviour-rows.ts";
import { commandSections } from "../../tests/support/compatibility/command-rows.ts";
import type {
  CompatibilityRow,
  CompatibilitySection,
  TestReference,
} from "../../tests/support/compatibility/row.ts";

/** docs/reference/compatibility.md: what Bodywork 3 has, what became of it, and the test that shows it. */
export async function generate(): Promise<ReadonlyMap<string, string>> {
  const sections = [...commandSections, ...behaviourSections].map(section);
  return new Map([["docs/reference/compatibility.md", `${[opening, ...sections].join("\n\n")}\n`]]);
}

const opening = `# Compatibility with Bodywork 3

Made from a list that the tests check (\`npm run generate\`); do not edit. Commands, options, exit codes, and the strings that scripts
and tests of Bodywork 3 look for, each with what became of it and the test that shows it.

| | |
|---|---|
| kept | the same |
| own words | it speaks of Kubernetes; the engine of one machine says or does it in its own way |
| Kubernetes | means nothing without a cluster: the Kubernetes engine's; the note says what there is on one machine |
| changed | on purpose |`;

function section({ title, rows }: CompatibilitySection): string {
  return [
    `## ${title}`,
    "",
    "| Bodywork 3 | | here | shown by |",
    "|---|---|---|---|",
    ...rows.map(line),
  ].join("\n");
}

function line({ what, verdict, note, shownBy }: CompatibilityRow): string {
  const cells = [what, verdict, note ?? "", shownBy.map(reference).join("<br>")];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function reference({ file, title }: TestReference): string {
  return `[${file.replace(/^tests\//, "")}](../../${file}): ${title.replaceAll("<", "&lt;")}`;
}
