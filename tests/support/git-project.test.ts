import { expect, test } from "vitest";
import { makeProject } from "./git-project.ts";
import { temporaryFolder } from "./temporary.ts";

test("a project of files is a repository at a file URL, and a commit of it has the same name everywhere", async () => {
  const files = { "train.py": "print(1)\n", "run.sh": { script: "#!/bin/sh\n" }, "a/link": { link: "../x" } };
  const one = await makeProject({ files, branch: "live", path: temporaryFolder() });
  const two = await makeProject({ files, branch: "live", path: temporaryFolder() });
  expect(one.url).toBe(`file://${one.path}`);
  expect(await one.git("rev-parse", "--abbrev-ref", "HEAD")).toBe("live");
  const hash = await one.commit({ "train.py": null, "serve.py": "" });
  expect(await two.commit({ "train.py": null, "serve.py": "" })).toBe(hash);
  expect(await one.git("ls-tree", "-r", "HEAD", "--format=%(objectmode) %(path)")).toBe(
    "120000 a/link\n100755 run.sh\n100644 serve.py",
  );
});
