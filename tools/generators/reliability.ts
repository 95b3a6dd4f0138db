import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TestReference } from "../../tests/support/compatibility/row.ts";
import { type ReliabilityRow, reliabilityRows } from "../../tests/support/reliability-rows.ts";

const root = dirname(dirname(import.meta.dirname));

/** docs/reliability.md: what becomes of each fault, the tests that bring it about, and what the last soak has counted. */
export async function generate(): Promise<ReadonlyMap<string, string>> {
  const soak = readSoak(readFileSync(join(root, "docs", "soak.md"), "utf8"));
  const sections = reliabilityRows.map((row) => section(row, soak));
  return new Map([["docs/reliability.md", `${[opening, figures, ...sections, ending].join("\n\n")}\n`]]);
}

/** What docs/soak.md says of the tests that it has run. */
interface Soak {
  readonly results: readonly (TestReference & { readonly outcome: string; readonly counted: string })[];
}

function readSoak(page: string): Soak {
  const sections = page.split(/^## (?=tests\/)/m).slice(1);
  const results = sections.flatMap((section) => {
    const [file = "", ...lines] = section.split("\n");
    return lines.flatMap((text) => {
      const [, title, outcome, , counted = ""] = text.split(/(?<!\\)\|/).map((cell) => cell.trim());
      const isRow = title !== undefined && outcome !== undefined && /^(passed|failed)$/.test(outcome);
      return isRow ? [{ file: file.trim(), title, outcome, counted }] : [];
    });
  });
  return { results };
}

const opening = `# Reliability

What Bodywork promises on the engine of one machine when something goes wrong, and the tests that make it go wrong. Made from a list
that the tests check (\`npm run generate\`); do not edit.

- **Acknowledged means stored.** What a command or the API says was accepted, made or changed survives a crash of Bodywork at any
  moment, and of the machine when its disk stores what it says it has stored.
- **A service does not go down because Bodywork does.** Services and the ingress go on while the server is stopped, killed, upgraded
  or out of disk.
- **A stage attempt starts at most once.** One whose end nobody saw is lost, and is tried again only as far as \`retries\` says.
  Nothing can promise that what a stage does outside happens exactly once: \`BODYWORK_RUN_ID\` and \`BODYWORK_ATTEMPT\` tell it which
  attempt it is.
- **A run ends in a true state.** Whoever is killed, the record says what has become of it.`;

const figures = `## What goes wrong, and what becomes of it

Figures are of the last soak ([its page](soak.md) has dates, seeds and the machine). A count of none is given with the bound that
it is below, with 95 % confidence. Tests without figures run whole in the suite. Those called *control*, or that say that something
*matters* or *can fail*, take a guard away and see the fault come through.`;

const ending = `## What is not promised

- Several machines: the engine of one machine is as safe as that machine.
- A disk that says it has stored what it has not, and an administrator who changes what is ours.
- What is in flight at the moment when the ingress itself is killed.
- Requests and websockets beyond the time that an old version has to finish.
- After \`bodywork server restore\` of a backup that is older than the last deployment, the release of that time is brought back, which
  takes its services as long as they need to start.
- Not tried: a real power cut (the disk is simulated, from what the store has told the system), and file systems over a network.

## Try it

\`npm test\` runs a sample of everything, \`npm run soak\` all of it. \`npm run crash-points\` lists the steps of a deployment after which
the suite kills the server.

Faults of the disk need \`strace\` and the right to trace, full disks and other process namespaces need root: without them these tests
are skipped, and say so.`;

function section({ number, fault, promise, shownBy }: ReliabilityRow, soak: Soak): string {
  const tests = shownBy.map((test) => {
    const counted = figuresOf(test, soak);
    return `- ${link(test)}${counted.length === 0 ? "" : `: ${counted.join(" · ")}`}`;
  });
  return `### L${number}. ${fault}\n\n${promise}\n\n${tests.join("\n")}`;
}

function link({ file, title }: TestReference): string {
  return `[${title.replace(/[[\]<*_`]/g, "\\$&")}](../${file})`;
}

/** Of a test that runs for several cases, the figures of each. */
function figuresOf({ file, title }: TestReference, { results }: Soak): readonly string[] {
  const pattern = new RegExp(
    `^${title
      .split(/…|\$\w+|%\w/)
      .map(escaped)
      .join(".*")}$`,
  );
  return results.flatMap((result) => {
    if (result.file !== file || !pattern.test(result.title)) return [];
    if (result.outcome === "failed") return [`**failed** ${result.counted}`.trim()];
    return result.counted === "" ? [] : [result.counted];
  });
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
