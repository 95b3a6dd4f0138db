import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ServerStatus } from "../../src/operations/operations.ts";
import { bodywork, eventually, type Finished } from "../support/bodywork.ts";
import { serverProcesses } from "../support/orphans.ts";
import { shareOf, tellCount, times } from "../support/soak.ts";
import { steadyLoad } from "../support/steady-load.ts";
import { killServer, standingService } from "./support/standing-service.ts";

const pairs = times(2, 30);

test(
  `two commits deployed at the same moment (${pairs} times): one after the other or not at all, and what was asked for last serves`,
  async (context) => {
    const standing = await standingService({ trainSeconds: 0.3 });
    const load = steadyLoad(standing.url, 4, 5);
    let superseded = 0;
    for (let pair = 0; pair < pairs; pair++) {
      const commits = [await standing.commit(), await standing.commit()];
      const ended = await Promise.all(
        commits.map(({ hash }) =>
          standing.tool.run("create", "deployment", standing.project.url, "--branch", hash),
        ),
      );
      const [last, first] = await standing.tool.runs();
      const versionOf = (run: typeof last) => commits.find(({ hash }) => hash === run?.commit?.hash)?.version;
      expect([versionOf(first), versionOf(last)].toSorted()).toEqual(commits.map(({ version }) => version));
      expect(last?.status, shown(ended)).toBe("succeeded");
      expect(await standing.live()).toBe(versionOf(last));
      if (first?.status === "succeeded") {
        const lastBegan = last?.stages[0]?.startedAt ?? "";
        expect(lastBegan >= (first.endedAt ?? ""), `${lastBegan} is before ${first.endedAt}`).toBe(true);
      } else {
        superseded += 1;
        expect(first?.reason).toContain("superseded");
      }
      expect(ended.filter(({ exitCode }) => exitCode === 0).length, shown(ended)).toBe(
        first?.status === "succeeded" ? 2 : 1,
      );
      expect(await standing.faults()).toEqual([]);
    }
    const { answered, failures } = await load.stop();
    expect(Object.fromEntries(failures)).toEqual({});
    tellCount(
      context,
      `${pairs - superseded} pairs one after the other, ${superseded} with the first superseded; failed requests: ${shareOf(0, answered)}`,
    );
  },
  120_000 + pairs * 60_000,
);

const crowds = times(1, 20);

test(
  `five commands that start a server at once get one and the same (${crowds} times)`,
  async () => {
    const tool = bodywork();
    for (let crowd = 0; crowd < crowds; crowd++) {
      const start = () => tool.run("server", "start", "--output", "json");
      const started = await Promise.all(Array.from({ length: 5 }, start));
      expect(
        started.map(({ exitCode }) => exitCode),
        shown(started),
      ).toEqual([0, 0, 0, 0, 0]);
      const pids = new Set(started.map(({ stdout }) => (JSON.parse(stdout) as ServerStatus).pid));
      expect(pids.size, shown(started)).toBe(1);
      // Those that came too late notice it as they start, and end.
      await eventually(async () => serverProcesses(tool.home).length === 1);
      expect((await tool.server()).pid).toBe([...pids][0]);
      // The next ones find no trace of it, what a killed one left, or that and no file that says where it was.
      if (crowd % 3 === 0) await tool.run("server", "stop");
      else killServer(tool.home);
      if (crowd % 3 === 2) rmSync(join(tool.home, "server.json"));
    }
  },
  60_000 + crowds * 30_000,
);

function shown(commands: readonly Finished[]): string {
  return commands.map(({ stdout, stderr }) => stdout + stderr).join("\n");
}
