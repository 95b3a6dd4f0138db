import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";

import { runCommand } from "../../src/lib/run-command.ts";
import { type Files, type GitProject, makeProject } from "../support/git-project.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { failureOf, makeSource, resolve, standIn, textOf } from "./support/source.ts";

async function project(
  files: Files = { "bodywork.yaml": "version: 1\n" },
  branch = "main",
): Promise<GitProject> {
  const made = await makeProject({ files, branch });
  onTestFinished(() => made.remove());
  return made;
}

describe("A ref becomes one commit", () => {
  it("the remote's default branch when none is named, and it is told by its name", async () => {
    const { git, commit, url } = await project({ "a.txt": "1" }, "trunk");
    const { source } = makeSource();
    const hash = await git("rev-parse", "HEAD");
    expect(await resolve(source, { url })).toMatchObject({
      hash,
      branch: "trunk",
      shortHash: await git("rev-parse", "--short", "HEAD"),
      author: "Test",
      subject: "First",
      committedAt: expect.stringMatching(/^2026-01-01T00:00:00/),
      url,
    });
    // Another branch at the same commit does not change what the default is.
    await git("branch", "another");
    expect(await resolve(source, { url })).toMatchObject({ hash, branch: "trunk" });
    await git("checkout", "--quiet", "another");
    const moved = await commit({ "a.txt": "2" }, "Second");
    expect(await resolve(source, { url })).toMatchObject({
      hash: moved,
      branch: "another",
      subject: "Second",
    });
  });

  it("the right default branch also at the first sight of two branches at one commit", async () => {
    const { git, url } = await project({ "a.txt": "1" }, "zebra");
    await git("branch", "aardvark");
    expect(await resolve(makeSource().source, { url })).toMatchObject({ branch: "zebra" });
  });

  it("a branch, a light or an annotated tag, a tag of a tag, and a commit by its 40 digits", async () => {
    const { git, commit, url } = await project();
    const first = await git("rev-parse", "HEAD");
    await git("tag", "light");
    await git("tag", "--annotate", "--message=x", "heavy");
    await git("tag", "--annotate", "--message=x", "nested", "heavy");
    await git("branch", "feature/deep.er_1");
    const second = await commit({ "b.txt": "2" });
    const { source } = makeSource();
    for (const ref of [
      "light",
      "heavy",
      "nested",
      "refs/tags/heavy",
      "feature/deep.er_1",
      "refs/heads/feature/deep.er_1",
    ]) {
      expect(await resolve(source, { url, ref }), ref).toMatchObject({
        hash: first,
        branch: ref.replace(/^refs\/(heads|tags)\//, ""),
      });
    }
    expect(await resolve(source, { url, ref: first })).toMatchObject({ hash: first, branch: undefined });
    expect(await resolve(source, { url, ref: second.toUpperCase() })).toMatchObject({ hash: second });
  });

  it("the branch where a tag has the same name, as git clone has it", async () => {
    const { git, commit, url } = await project();
    await git("tag", "same");
    const later = await commit({ "b.txt": "2" });
    await git("branch", "same");
    const { source } = makeSource();
    expect(await resolve(source, { url, ref: "same" })).toMatchObject({ hash: later });
    expect((await resolve(source, { url, ref: "refs/tags/same" })).hash).not.toBe(later);
  });

  it("what the branch is now, after a force push, and after a branch became a folder of branches", async () => {
    const { git, commit, url } = await project();
    await git("branch", "topic");
    const { source } = makeSource();
    await resolve(source, { url, ref: "topic" });
    await git("checkout", "--quiet", "--orphan", "anew");
    const rewritten = await commit({ "c.txt": "3" });
    await git("branch", "--force", "main");
    await git("branch", "--delete", "--force", "topic");
    await git("branch", "topic/one");
    expect(await resolve(source, { url, ref: "main" })).toMatchObject({ hash: rewritten });
    expect(await resolve(source, { url, ref: "topic/one" })).toMatchObject({ hash: rewritten });
    expect(await failureOf(resolve(source, { url, ref: "topic" }))).toMatchObject({ code: "ref-not-found" });
  });

  it("a commit that no branch has any more, fetched by its name or kept from before", async () => {
    const { git, commit, url } = await project();
    const lost = await commit({ "lost.txt": "1" });
    await git("reset", "--quiet", "--hard", "HEAD~1");
    await git("config", "uploadpack.allowAnySHA1InWant", "true");
    const { source } = makeSource();
    expect(await resolve(source, { url, ref: lost })).toMatchObject({ hash: lost });
    // It is here now, so that the remote is not needed.
    const gone = url.replace("file://", "");
    await git("config", "uploadpack.allowAnySHA1InWant", "false");
    expect(existsSync(gone)).toBe(true);
    expect(await resolve(source, { url, ref: lost })).toMatchObject({ hash: lost });
  });

  it("the one commit whose name begins with 7 digits or more, whatever their case", async () => {
    const { git, commit, url } = await project();
    const first = await git("rev-parse", "HEAD");
    await commit({ "b.txt": "2" });
    const { source } = makeSource();
    expect(await resolve(source, { url, ref: first.slice(0, 7) })).toMatchObject({
      hash: first,
      branch: undefined,
    });
    expect(await resolve(source, { url, ref: first.slice(0, 39).toUpperCase() })).toMatchObject({
      hash: first,
    });
    await git("branch", first.slice(0, 7));
    expect(await resolve(source, { url, ref: first.slice(0, 7) }), "a branch comes first").toMatchObject({
      branch: first.slice(0, 7),
    });
    expect(await failureOf(resolve(source, { url, ref: first.slice(0, 6) }))).toMatchObject({
      code: "ref-not-found",
    });
  });

  it("nothing, without looking at anything, when the address can't be one", async () => {
    const { source } = makeSource();
    for (const text of ["notaurl", "--foo", "http://forge.test/x"]) {
      expect(() => source.check(text)).toThrow(expect.objectContaining({ code: "repository-url" }));
    }
    expect(() => source.check("https://forge.test/x")).not.toThrow();
  });

  it("nothing, with the names that there are, when it is not there", async () => {
    const { git, url } = await project();
    await git("branch", "develop");
    await git("tag", "v1");
    const { source } = makeSource();
    const failure = await failureOf(resolve(source, { url, ref: "develp" }));
    expect(failure).toMatchObject({ code: "ref-not-found", hint: "Did you mean --branch develop?" });
    expect(failure.message).toContain("Git clone failed");
    expect(failure.details).toEqual(["Branches: develop, main", "Tags: v1"]);
    expect(await failureOf(resolve(source, { url, ref: "0".repeat(10) }))).toMatchObject({
      code: "ref-not-found",
      hint: expect.stringContaining("40 digits"),
    });
    const unknown = await failureOf(resolve(source, { url, ref: "0".repeat(40) }));
    expect(unknown).toMatchObject({
      code: "ref-not-found",
      details: ["Branches: develop, main", "Tags: v1"],
    });
  });

  it.each([
    "-x",
    "--upload-pack=touch X",
    "a b",
    "a..b",
    "a^",
    "a:b",
    "a*",
    "a[b",
    "a\\b",
    "a\nb",
    ".a",
    "a/.b",
    "a.lock",
    "a/",
    "/a",
    "a//b",
    "a@{1}",
    "@",
    "a.",
  ])("nothing, when it cannot be a name: %j", async (ref) => {
    const { url } = await project();
    expect(await failureOf(resolve(makeSource().source, { url, ref }))).toMatchObject({
      code: "ref-not-found",
    });
  });

  it("odd names that git allows are found", async () => {
    const { git, url } = await project();
    const { source } = makeSource();
    for (const ref of ["grün/ß", "a'b\"c", "$(id)", "a;b", "100%", "a=b", "é", "{x}", "HEADER"]) {
      await git("branch", ref);
      expect(await resolve(source, { url, ref }), ref).toMatchObject({ branch: ref });
    }
  });
});

describe("A repository that is unlike others", () => {
  it("is refused when it is empty, and when only its default branch is", async () => {
    const { git, url } = await project();
    const { source } = makeSource();
    const before = await resolve(source, { url });
    await git("checkout", "--quiet", "--orphan", "unborn");
    const failure = await failureOf(resolve(source, { url }));
    expect(failure).toMatchObject({ code: "ref-not-found", details: ["Branches: main"] });
    expect(failure.message).toContain("its default branch has no commit");
    expect(await resolve(source, { url, ref: "main" })).toMatchObject({ hash: before.hash });

    await git("update-ref", "-d", "refs/heads/main");
    expect((await failureOf(resolve(source, { url }))).message).toContain("it is empty");
    expect((await failureOf(resolve(makeSource().source, { url }))).message).toContain("it is empty");
  });

  it("may be a shallow clone, as CI jobs have it, and be deepened later", async () => {
    const { commit, url, git } = await project();
    const second = await commit({ "b.txt": "2" });
    const shallow = join(temporaryFolder(), "shallow");
    await git("clone", "--quiet", "--depth=1", url, shallow);
    const { source, fresh } = makeSource();
    const found = await resolve(source, { url: `file://${shallow}` });
    expect(found).toMatchObject({ hash: second });
    const folder = fresh();
    await source.checkOut(found, folder);
    expect(readdirSync(folder).sort()).toEqual(["b.txt", "bodywork.yaml"]);
    const third = await commit({ "c.txt": "3" });
    await git("-C", shallow, "pull", "--quiet", "--unshallow");
    expect(await resolve(source, { url: `file://${shallow}` })).toMatchObject({ hash: third });
  });

  it("may have a detached HEAD: the commit counts, there is no branch", async () => {
    const { git, commit, url } = await project();
    const first = await git("rev-parse", "HEAD");
    await commit({ "b.txt": "2" });
    await git("checkout", "--quiet", "--detach", first);
    expect(await resolve(makeSource().source, { url })).toMatchObject({ hash: first, branch: undefined });
  });

  it("with object names of SHA-256 is refused with its reason", async () => {
    const path = temporaryFolder();
    const env = { PATH: process.env.PATH ?? "", GIT_CONFIG_GLOBAL: "/dev/null" };
    const who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
    await runCommand("git", ["init", "--quiet", "--object-format=sha256"], { env, cwd: path });
    await runCommand("git", [...who, "commit", "--quiet", "--allow-empty", "-m", "x"], { env, cwd: path });
    const failure = await failureOf(resolve(makeSource().source, { url: `file://${path}` }));
    expect(failure).toMatchObject({ code: "repository-access" });
    expect(failure.message).toContain("SHA-256");
  });

  it("that is not there, or is none, says so", async () => {
    const folder = temporaryFolder();
    const { source } = makeSource();
    for (const url of [`file://${folder}`, `file://${folder}/nothing`]) {
      const failure = await failureOf(resolve(source, { url }));
      expect(failure).toMatchObject({ code: "repository-access", hint: expect.stringContaining("path") });
      expect(failure.message).toContain("Git clone failed");
    }
  });

  it.skipIf(process.getuid?.() !== 0)(
    "of another user is refused until the user declares it to be safe (needs root to try)",
    async () => {
      const { git, path, url } = await project();
      const { source, home } = makeSource();
      await git("config", "core.sharedRepository", "all");
      chownSync(join(path, ".git"), 65_534, 65_534);
      chownSync(path, 65_534, 65_534);
      const failure = await failureOf(resolve(source, { url }));
      expect(failure).toMatchObject({
        code: "repository-access",
        hint: expect.stringContaining(`safe.directory ${path}`),
      });
      writeFileSync(join(home, ".gitconfig"), `[safe]\n\tdirectory = ${path}/.git\n\tdirectory = ${path}\n`);
      expect(await resolve(source, { url })).toMatchObject({ branch: "main" });
    },
  );
});

describe("What a commit has", () => {
  it("is listed and read as it is stored, whatever its path is called", async () => {
    const { url } = await project({
      "bodywork.yaml": "version: 1\n",
      "stage one/grün.py": "print('ü')\n",
      'odd\n"name"': "x",
      "bytes.bin": Buffer.from([0, 255, 10, 13, 10, 0]),
      "tool.sh": { script: "#!/bin/sh\n" },
      link: { link: "bodywork.yaml" },
    });
    const { source } = makeSource();
    const commit = await resolve(source, { url });
    expect([...(await source.listFiles(commit))].sort()).toEqual(
      ["bodywork.yaml", "bytes.bin", "link", 'odd\n"name"', "stage one/grün.py", "tool.sh"].sort(),
    );
    expect(await source.readFile(commit, "bytes.bin")).toEqual(Buffer.from([0, 255, 10, 13, 10, 0]));
    expect((await source.readFile(commit, "./stage one/../stage one/grün.py"))?.toString()).toBe(
      "print('ü')\n",
    );
    expect((await source.readFile(commit, "tool.sh"))?.toString()).toBe("#!/bin/sh\n");
    for (const path of [
      "link",
      "nothing",
      "stage one",
      "../bodywork.yaml",
      "/bodywork.yaml",
      ".git/config",
      "",
    ]) {
      expect(await source.readFile(commit, path), path).toBeUndefined();
    }
  });

  it("cannot be changed by who reads it", async () => {
    const { url } = await project();
    const { source } = makeSource();
    const commit = await resolve(source, { url });
    (await source.readFile(commit, "bodywork.yaml"))?.fill(0);
    expect((await source.readFile(commit, "bodywork.yaml"))?.toString()).toBe("version: 1\n");
  });

  it("stays when it is kept, and goes with the rest when it is forgotten", async () => {
    const { git, commit, url } = await project();
    const { source, folder } = makeSource();
    const released = await resolve(source, { url });
    for (const name of ["release/team", "release/team/12", "release/team/1.2", "run/20260101-x"]) {
      await source.keep(released, name);
    }
    await source.keep(released, `release/${"long".repeat(100)}`);
    await git("checkout", "--quiet", "--orphan", "anew");
    await commit({ "z.txt": "1" });
    await git("branch", "--delete", "--force", "main");
    await resolve(source, { url });
    const mirror = join(folder, "mirrors", released.repository);
    const reachable = (): Promise<string> => git(`--git-dir=${mirror}`, "rev-list", "--all");
    expect(await reachable()).toContain(released.hash);
    expect(existsSync(mirror)).toBe(true);
    for (const name of ["release/team", "release/team/12", "release/team/1.2", "run/20260101-x"]) {
      await source.forget(released, name);
    }
    expect(await reachable()).toContain(released.hash);
    await source.forget(released, `release/${"long".repeat(100)}`);
    expect(await reachable()).not.toContain(released.hash);
    await source.forget(released, "release/team/12");
  });
});

describe("The machine", () => {
  it("without git says that git is missing", async () => {
    const { url } = await project();
    const { source } = makeSource({ environment: { PATH: temporaryFolder() } });
    expect(await failureOf(resolve(source, { url }))).toMatchObject({
      code: "git-missing",
      message: expect.stringContaining("git is not available"),
    });
  });

  it("with a git that cannot be kept apart from its configuration says so", async () => {
    const { url } = await project();
    const { source, bin } = makeSource();
    standIn(bin, "git", "echo git version 2.25.1");
    const failure = await failureOf(resolve(source, { url }));
    expect(failure).toMatchObject({ code: "git-missing", hint: "Install git 2.32 or newer." });
    expect(textOf(failure)).toContain("2.25.1");
  });

  it("does not steer git by its variables, its configuration or its templates", async () => {
    const { url, path } = await project({
      "a.txt": "1\n",
      ".gitattributes": "a.txt filter=evil text ident\n",
    });
    const root = temporaryFolder();
    const marker = join(root, "marker");
    const trap = join(root, "trap");
    mkdirSync(join(root, "hooks"));
    for (const program of [
      trap,
      ...["reference-transaction", "post-checkout"].map((name) => join(root, "hooks", name)),
    ]) {
      writeFileSync(program, `#!/bin/sh\ntouch ${marker}\ncat\n`);
      chmodSync(program, 0o755);
    }
    const settings = [
      ["core.hooksPath", join(root, "hooks")],
      ["core.fsmonitor", trap],
      ["core.sshCommand", trap],
      ["filter.evil.smudge", trap],
      ["filter.evil.required", "true"],
      ["uploadpack.packObjectsHook", trap],
      ["core.alternateRefsCommand", trap],
      [`url.file:///nowhere/.insteadOf`, "file://"],
    ];
    const config = join(root, "config");
    writeFileSync(config, settings.map(([name = "", value = ""]) => configLines(name, value)).join(""));
    const { source, fresh, home } = makeSource({
      environment: {
        PATH: process.env.PATH ?? "",
        HOME: root,
        GIT_CONFIG_GLOBAL: config,
        GIT_CONFIG: config,
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: "core.hooksPath",
        GIT_CONFIG_VALUE_0: join(root, "hooks"),
        GIT_CONFIG_PARAMETERS: "'core.fsmonitor'='x'",
        GIT_DIR: root,
        GIT_WORK_TREE: root,
        GIT_SSH_COMMAND: trap,
        GIT_EXEC_PATH: root,
        GIT_TEMPLATE_DIR: root,
        GIT_TRACE: join(root, "trace"),
      },
    });
    writeFileSync(join(root, ".gitconfig"), readFileSync(config));
    expect(home).not.toBe(root);
    const folder = fresh();
    const commit = await resolve(source, { url });
    await source.checkOut(commit, folder);
    expect(readFileSync(join(folder, "a.txt"), "utf8")).toBe("1\n");
    expect(existsSync(marker)).toBe(false);
    expect(existsSync(join(root, "trace"))).toBe(false);

    // The control: git itself walks into every one of these traps.
    await runCommand("git", ["-c", "url.file:///nowhere/.insteadOf=x", "clone", "--quiet", path, fresh()], {
      env: { PATH: process.env.PATH ?? "", GIT_CONFIG_GLOBAL: config, GIT_TRACE: join(root, "trace") },
    });
    expect(existsSync(marker)).toBe(true);
    expect(existsSync(join(root, "trace"))).toBe(true);
  });

  it.skipIf(process.getuid?.() !== 0)(
    "refuses a folder that belongs to another user (needs root to try)",
    async () => {
      const { url } = await project();
      const { source, folder } = makeSource();
      mkdirSync(folder);
      chownSync(folder, 65_534, 65_534);
      expect(await failureOf(resolve(source, { url }))).toMatchObject({ code: "home-unsafe" });
    },
  );
});

function configLines(name: string, value: string): string {
  const section = name.slice(0, name.indexOf("."));
  const key = name.slice(name.lastIndexOf(".") + 1);
  const middle = name.slice(section.length + 1, Math.max(section.length + 1, name.length - key.length - 1));
  return `[${section}${middle === "" ? "" : ` "${middle}"`}]\n\t${key} = ${value}\n`;
}
