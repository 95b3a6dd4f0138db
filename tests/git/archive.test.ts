import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { runCommand } from "../../src/lib/run-command.ts";
import { type Files, makeProject } from "../support/git-project.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { failureOf, makeSource, resolve } from "./support/source.ts";

const ordinary: Files = {
  "serve.py": "print('serve')\n",
  "steps/train.py": "print('train')\n",
  "run.sh": { script: "#!/bin/sh\n" },
  "latest.py": { link: "steps/train.py" },
  elsewhere: { link: "/nowhere" },
  [`${"long/".repeat(60)}name.py`]: "1\n",
  "grüße.py": "2\n",
  "bytes.bin": new Uint8Array([0, 13, 10, 255]),
};

/** Path → mode and content, of all that is below the folder. */
function treeOf(folder: string, below = ""): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(folder, below))) {
    const path = join(below, name);
    const stat = lstatSync(join(folder, path));
    const mode = (stat.mode & 0o777).toString(8);
    if (stat.isDirectory()) Object.assign(found, { [path]: "folder" }, treeOf(folder, path));
    else if (stat.isSymbolicLink()) found[path] = `link ${readlinkSync(join(folder, path))}`;
    else found[path] = `${mode} ${readFileSync(join(folder, path)).toString("base64")}`;
  }
  return found;
}

async function unpacked(archive: Buffer): Promise<Readonly<Record<string, string>>> {
  const folder = join(temporaryFolder("archive"), "unpacked");
  mkdirSync(folder);
  const result = await runCommand("tar", ["-xzf", "-", "-C", folder], {
    env: { PATH: process.env.PATH ?? "" },
    input: archive,
  });
  expect(result.stderr).toBe("");
  return treeOf(folder);
}

async function bothOf(files: Files) {
  const project = await makeProject({ files });
  const { source, fresh } = makeSource();
  const commit = await resolve(source, { url: project.url });
  const folder = fresh();
  await source.checkOut(commit, folder);
  const archive = await source.archive(commit);
  project.remove();
  return { archive: await unpacked(archive), checkedOut: treeOf(folder) };
}

test("an archive holds what a checkout makes: files, modes, links, long names", async () => {
  const { archive, checkedOut } = await bothOf(ordinary);
  expect(Object.keys(archive)).toContain("grüße.py");
  expect(archive).toEqual(checkedOut);
});

test("files that the repository leaves out of its own archives are in it, and none is filled in", async () => {
  const { archive, checkedOut } = await bothOf({
    ".gitattributes": "tests export-ignore\n*.csv export-ignore\nversion.py export-subst\n",
    "data/.gitattributes": "model.txt export-ignore\n",
    "data/model.txt": "model",
    "tests/test.py": "1\n",
    "data.csv": "1,2\n",
    "version.py": "version = '$Format:%H$'\n",
  });
  expect(Object.keys(archive)).toEqual(
    expect.arrayContaining(["tests/test.py", "data.csv", "data/model.txt"]),
  );
  expect(archive).toEqual(checkedOut);
});

test("line ends and identifiers are converted as in a checkout", async () => {
  const { archive, checkedOut } = await bothOf({
    ".gitattributes": "*.bat text eol=crlf\n*.py ident\n",
    "run.bat": "one\ntwo\n",
    "id.py": "# $Id$\n",
  });
  expect(Buffer.from(checkedOut["run.bat"]?.split(" ")[1] ?? "", "base64").toString()).toBe("one\r\ntwo\r\n");
  expect(archive).toEqual(checkedOut);
});

test("a submodule is an empty folder, as in a checkout", async () => {
  const project = await makeProject({ files: ordinary });
  await project.git("update-index", "--add", "--cacheinfo", `160000,${"12".repeat(20)},vendor/lib`);
  await project.git("commit", "--quiet", "--message", "Submodule");
  const { source, fresh } = makeSource();
  const commit = await resolve(source, { url: project.url });
  const folder = fresh();
  await source.checkOut(commit, folder);
  const archive = await unpacked(await source.archive(commit));
  project.remove();
  expect(archive["vendor/lib"]).toBe("folder");
  expect(archive).toEqual(treeOf(folder));
});

test("the bytes of an archive are the same each time, also in another copy of the repository", async () => {
  const project = await makeProject({ files: ordinary });
  const digests = new Set<string>();
  for (let time = 0; time < 2; time++) {
    const { source } = makeSource();
    const commit = await resolve(source, { url: project.url });
    for (let again = 0; again < 2; again++) {
      digests.add(
        createHash("sha256")
          .update(await source.archive(commit))
          .digest("hex"),
      );
    }
  }
  project.remove();
  expect(digests.size).toBe(1);
});

test("a commit that unpacks to more than the limit is not archived", async () => {
  const project = await makeProject({ files: { "big.bin": Buffer.alloc(3 * 1024 * 1024) } });
  const { source, again } = makeSource();
  const commit = await resolve(source, { url: project.url });
  const failure = await failureOf(again({ maxRepositoryMb: 2 }).archive(commit));
  project.remove();
  expect(failure).toMatchObject({ code: "repository-limit" });
  expect(failure.message).toContain("it unpacks to 3 MiB");
});

test("archiving ends when it is cancelled", async () => {
  const project = await makeProject({ files: ordinary });
  const { source } = makeSource();
  const commit = await resolve(source, { url: project.url });
  const cancel = new AbortController();
  cancel.abort();
  const failure = await failureOf(source.archive(commit, cancel.signal));
  project.remove();
  expect(failure).toMatchObject({ code: "cancelled" });
});

test("a commit whose content is gone from the copy says so, and the copy is fetched anew", async () => {
  const project = await makeProject({ files: ordinary });
  const { source } = makeSource();
  const commit = await resolve(source, { url: project.url });
  const failure = await failureOf(source.archive({ ...commit, hash: "0".repeat(40) }));
  expect(failure).toMatchObject({ code: "store-damaged" });
  await resolve(source, { url: project.url });
  await source.archive(commit);
  project.remove();
});
