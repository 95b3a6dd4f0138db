import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createGitSource } from "../src/git/git-source.ts";
import type { BenchRow } from "./row.ts";
import { type BenchTool, benchTool, median, timed } from "./tool.ts";

const rounds = 7;

/** A new commit of a known repository, to git itself: fetch and `checkout-index` of the same tree. */
export async function run(): Promise<readonly BenchRow[]> {
  const tool = benchTool();
  try {
    return [
      await compare(tool, "a folder of stages", 30, 2_000),
      await compare(tool, "100 MB in 1,000 files", 1_000, 100_000),
    ];
  } finally {
    await tool.remove();
  }
}

async function compare(tool: BenchTool, what: string, files: number, bytes: number): Promise<BenchRow> {
  const name = `source-${files}`;
  const content = (salt: number): Record<string, string> =>
    Object.fromEntries(
      Array.from({ length: files }, (_, index) => [
        `part-${index % 10}/f${index}.txt`,
        text(bytes, index * 31 + salt),
      ]),
    );
  const url = await tool.project(name, content(0));
  const source = createGitSource({
    folder: join(tool.folder, "git"),
    environment: { PATH: tool.env.PATH ?? "", HOME: tool.folder },
    insecureHosts: [],
    fetchTimeoutSeconds: 600,
    maxRepositoryMb: 4096,
  });
  const request = { url, ref: "main" };
  const signal = new AbortController().signal;
  await source.resolve(request, signal);
  await tool.program("git", ["clone", "--quiet", "--bare", url, `${name}.git`]);

  const ours: number[] = [];
  const floor: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    writeFileSync(join(tool.folder, name, "changed.txt"), String(round));
    await tool.project(name, {});
    const out = join(tool.folder, "out");
    ours.push(
      await timed(async () => {
        const commit = await source.resolve(request, signal);
        await source.checkOut(commit, out);
      }),
    );
    rmSync(out, { recursive: true });
    const git = `git --git-dir ${name}.git --work-tree out`;
    const script = `set -e; mkdir out; export GIT_INDEX_FILE="$PWD/index"; ${git} fetch --quiet origin +main:main; ${git} read-tree main; ${git} checkout-index --all`;
    floor.push(await timed(() => tool.program("sh", ["-c", script])));
    rmSync(out, { recursive: true });
  }
  return {
    name: `fetch and private copy of a new commit, ${what}, to git fetch and checkout-index`,
    value: median(ours) / median(floor),
    unit: "ratio",
    goal: "≤ 1.2",
    note: `${Math.round(median(ours))} ms to ${Math.round(median(floor))} ms`,
  };
}

/** Text that no two files share and that does not compress to nothing. */
function text(length: number, seed: number): string {
  let state = seed + 1;
  const words: string[] = [];
  for (let size = 0; size < length; size += 9) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    words.push(state.toString(16).padStart(8, "0"));
  }
  return words.join("\n").slice(0, length);
}
