import { expect, onTestFinished, test } from "vitest";
import { makeProject } from "../support/git-project.ts";
import { failureOf, makeSource, resolve, standIn } from "./support/source.ts";

test("a copy of which git can't tell the commit is told so, in the original's words", async () => {
  const project = await makeProject({ files: { "bodywork.yaml": "version: 1\n" } });
  onTestFinished(() => project.remove());
  const { source, bin } = makeSource();
  // A git that can do everything but this.
  standIn(
    bin,
    "git",
    `case " $* " in *" log "*) echo "fatal: bad object" >&2; exit 128;; esac\nPATH=\${PATH#*:} exec git "$@"`,
  );
  const failure = await failureOf(resolve(source, { url: project.url }));
  expect(failure.code).toBe("store-damaged");
  expect(failure.message).toMatch(/^Unable to retrieve git commit hash: /);
  expect(failure.details).toContain("fatal: bad object");
});
