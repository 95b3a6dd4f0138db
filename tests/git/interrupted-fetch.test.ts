import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";

import { tryLock } from "../../src/lib/process-lock.ts";
import { type GitProject, makeProject } from "../support/git-project.ts";
import { startGitServer } from "./support/git-server.ts";
import { contentsBelow, failureOf, makeSource, resolve, standIn } from "./support/source.ts";

async function project(): Promise<GitProject> {
  const made = await makeProject({ files: { "bodywork.yaml": "version: 1\n", "a.txt": "a\n" } });
  onTestFinished(() => made.remove());
  return made;
}

const program = fileURLToPath(new URL("./support/resolve-program.ts", import.meta.url));

/** The program in a process of its own; it ends with the test if it was not killed. */
function startProgram(args: readonly string[], bin = ""): { kill(): Promise<void> } {
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
  const child = spawn(process.execPath, [program, ...args], { stdio: "ignore", env });
  const ended = new Promise<void>((done) => child.once("close", () => done()));
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  onTestFinished(kill);
  return { kill };
}

const begun = (mirrors: string): readonly string[] =>
  [...contentsBelow(mirrors).keys()].filter((name) => name.includes("/pack/tmp_"));

describe("A process that is killed while it fetches", () => {
  it("leaves nothing that the next fetch does not clear away, in a mirror that is known", async () => {
    const { path, commit } = await project();
    let isSlow = false;
    const server = await startGitServer({
      root: dirname(path),
      silentAfter: () => (isSlow ? 900_000 : undefined),
    });
    const http = `http://${server.host}/${basename(path)}/.git`;
    const { source, folder, home } = makeSource({ insecureHosts: [server.host] });
    const before = await resolve(source, { url: http });
    await source.keep(before, "release/1");
    const hash = await commit({ "big.bin": randomBytes(2 * 1024 * 1024) });
    isSlow = true;
    const { kill } = startProgram([http, folder, home, server.host]);
    const mirrors = join(folder, "mirrors");
    await vi.waitFor(() => expect(begun(mirrors)).not.toEqual([]), { timeout: 20_000 });
    await kill();
    expect(begun(mirrors)).not.toEqual([]);
    server.hangUp();
    isSlow = false;
    expect(await resolve(source, { url: http })).toMatchObject({ hash });
    expect(begun(mirrors)).toEqual([]);
    expect(readdirSync(mirrors)).toEqual([before.repository]);
  });

  it("leaves no half mirror when it was the first", async () => {
    const { path, commit } = await project();
    const hash = await commit({ "big.bin": randomBytes(2 * 1024 * 1024) });
    let isSlow = true;
    const server = await startGitServer({
      root: dirname(path),
      silentAfter: () => (isSlow ? 900_000 : undefined),
    });
    const http = `http://${server.host}/${basename(path)}/.git`;
    const { source, folder, home, fresh } = makeSource({ insecureHosts: [server.host] });
    const { kill } = startProgram([http, folder, home, server.host]);
    const mirrors = join(folder, "mirrors");
    await vi.waitFor(() => expect(existsSync(mirrors) ? begun(mirrors) : []).not.toEqual([]), {
      timeout: 20_000,
    });
    await kill();
    expect(readdirSync(mirrors)).toEqual([expect.stringContaining(".making-")]);
    server.hangUp();
    isSlow = false;
    const commitNow = await resolve(source, { url: http });
    expect(commitNow).toMatchObject({ hash });
    expect(readdirSync(mirrors)).toEqual([commitNow.repository]);
    await source.checkOut(commitNow, fresh());
  });

  it("leaves no private key: the next call removes it, and not the keys of calls that go on", async () => {
    const { url } = await project();
    const { source, folder, home, bin } = makeSource();
    standIn(bin, "ssh", "sleep 20");
    const keys = (): readonly string[] =>
      [...contentsBelow(folder)].flatMap(([name, text]) => (text.includes("canary-key") ? [name] : []));
    const first = startProgram(["git@host.invalid:a/b", folder, home, "", "canary-key-1"], bin);
    const second = startProgram(["git@host.invalid:a/c", folder, home, "", "canary-key-2"], bin);
    await vi.waitFor(() => expect(keys()).toHaveLength(2), { timeout: 20_000 });
    await first.kill();
    expect(keys()).toHaveLength(2);
    await resolve(source, { url });
    expect(keys().map((name) => readFileSync(join(folder, name), "utf8"))).toEqual(["canary-key-2\n"]);
    await second.kill();
    await resolve(source, { url });
    expect(keys()).toEqual([]);
    await endStandIns(bin);
  });
});

/** The stand-ins are children of git, which the killed programs have left behind. */
async function endStandIns(bin: string): Promise<void> {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    let command = "";
    try {
      command = readFileSync(`/proc/${pid}/environ`, "utf8");
    } catch {
      continue; // It has ended, or is another user's.
    }
    if (command.includes(`PATH=${bin}:`) && Number(pid) !== process.pid) process.kill(Number(pid), "SIGKILL");
  }
}

describe("A mirror that is damaged", () => {
  const damages: Readonly<Record<string, (mirror: string) => void>> = {
    "has lost its HEAD": (mirror) => rmSync(join(mirror, "HEAD")),
    "has an empty HEAD": (mirror) => truncateSync(join(mirror, "HEAD")),
    "has lost its refs": (mirror) => rmSync(join(mirror, "refs"), { recursive: true }),
    "has a broken configuration": (mirror) => writeFileSync(join(mirror, "config"), "[core\n"),
    "has an empty ref": (mirror) => truncateSync(join(mirror, "refs/bodywork/heads/main")),
    "has a ref to nothing": (mirror) =>
      writeFileSync(join(mirror, "refs/bodywork/heads/main"), `${"1".repeat(40)}\n`),
    "has lost a pack": (mirror) => rmSync(onlyPack(mirror)),
    "has half a pack": (mirror) => truncateSync(onlyPack(mirror), 60),
    "has lost its index": (mirror) => rmSync(onlyPack(mirror).replace(/pack$/, "idx")),
    "has an empty index": (mirror) => truncateSync(onlyPack(mirror).replace(/pack$/, "idx")),
    "has a foreign record": (mirror) => writeFileSync(join(mirror, "bodywork.json"), "{"),
    "has a left lock": (mirror) => writeFileSync(join(mirror, "refs/bodywork/heads/main.lock"), ""),
    "has a left lock of all refs": (mirror) => writeFileSync(join(mirror, "packed-refs.lock"), ""),
  };

  it.each(Object.keys(damages))("is mended or made anew when it %s", async (name) => {
    const { url, commit } = await project();
    const { source, folder, fresh, again } = makeSource();
    const before = await resolve(source, { url });
    const mirror = join(folder, "mirrors", before.repository);
    damages[name]?.(mirror);
    const hash = await commit({ "b.txt": "b\n" });
    const after = again();
    for (const ref of ["main", undefined]) {
      const found = await resolve(after, { url, ref });
      expect(found).toMatchObject({ hash, branch: "main" });
      const copy = fresh();
      await after.checkOut(found, copy);
      expect(readdirSync(copy).sort()).toEqual(["a.txt", "b.txt", "bodywork.yaml"]);
    }
    expect(readdirSync(join(folder, "mirrors"))).toEqual([before.repository]);
  });

  it("is made anew when nothing was pushed since, and says so to who needs it before that", async () => {
    const { url } = await project();
    const { source, folder, fresh, again } = makeSource();
    const commit = await resolve(source, { url });
    rmSync(onlyPack(join(folder, "mirrors", commit.repository)));
    const after = again();
    const failure = await failureOf(after.checkOut(commit, fresh()));
    expect(failure).toMatchObject({ code: "store-damaged", hint: expect.stringContaining("again") });
    expect(failure.message).toContain(url);
    expect(await resolve(after, { url })).toMatchObject({ hash: commit.hash });
    await after.checkOut(commit, fresh());
    expect(await resolve(again(), { url, ref: commit.hash })).toMatchObject({ hash: commit.hash });
  });

  it("gives its kept commits to the new one, also those that the remote has no more", async () => {
    const { url, git, commit } = await project();
    const { source, folder, fresh, again } = makeSource();
    const released = await resolve(source, { url });
    await source.keep(released, "release/team/1");
    await git("checkout", "--quiet", "--orphan", "anew");
    await commit({ "z.txt": "1" });
    await git("branch", "--force", "main");
    await git("reflog", "expire", "--expire=all", "--all");
    await git("gc", "--quiet", "--prune=now");
    const mirror = join(folder, "mirrors", released.repository);
    writeFileSync(join(mirror, "config"), "[core\n");
    const after = again();
    await resolve(after, { url });
    await after.checkOut(released, fresh());
    expect(await git(`--git-dir=${mirror}`, "for-each-ref", "refs/bodywork/keep/")).toContain(released.hash);
  });

  it("gives them also when the one who made it anew was killed in between", async () => {
    const { url } = await project();
    const { source, folder, again, fresh } = makeSource();
    const released = await resolve(source, { url });
    await source.keep(released, "release/team/1");
    const mirror = join(folder, "mirrors", released.repository);
    renameSync(mirror, `${mirror}.replaced-0011aabb`);
    const after = again();
    await resolve(after, { url });
    expect(readdirSync(join(folder, "mirrors"))).toEqual([released.repository]);
    await after.forget(released, "release/team/1");
    await after.checkOut(released, fresh());
  });

  it("is gone: what was released from it cannot be had until it is deployed again", async () => {
    const { url } = await project();
    const { source, folder, fresh, again } = makeSource();
    const commit = await resolve(source, { url });
    rmSync(join(folder, "mirrors"), { recursive: true });
    const after = again();
    const actions = [
      () => after.checkOut(commit, fresh()),
      () => after.keep(commit, "x"),
      () => after.readFile(commit, "a.txt"),
    ];
    for (const action of actions) {
      expect(await failureOf(action())).toMatchObject({ code: "store-damaged" });
    }
    await after.forget(commit, "x");
    expect(await resolve(after, { url })).toMatchObject({ hash: commit.hash });
  });
});

function onlyPack(mirror: string): string {
  const folder = join(mirror, "objects", "pack");
  const packs = readdirSync(folder).filter((name) => name.endsWith(".pack"));
  expect(packs).toHaveLength(1);
  return join(folder, packs[0] ?? "");
}

describe("Many at once", () => {
  it("fetch one repository, from several processes' sources, and each gets its own ref's commit", async () => {
    const { url, git, commit } = await project();
    const hashes = new Map<string, string>();
    for (const ref of ["one", "two", "three"]) {
      await git("checkout", "--quiet", "-b", ref);
      hashes.set(ref, await commit({ "which.txt": ref }));
    }
    const { again, fresh, folder } = makeSource();
    const found = await Promise.all(
      [...hashes.keys(), ...hashes.keys()].map(async (ref) => {
        const source = again();
        const one = await resolve(source, { url, ref });
        const copy = fresh();
        await source.checkOut(one, copy);
        return [ref, one.hash, readFileSync(join(copy, "which.txt"), "utf8")];
      }),
    );
    for (const [ref = "", hash, text] of found) {
      expect(hash).toBe(hashes.get(ref));
      expect(text).toBe(ref);
    }
    expect(readdirSync(join(folder, "mirrors"))).toHaveLength(1);
    expect(readdirSync(join(folder, "locks"))).toEqual([]);
  });

  it("wait for the lock no longer than they want to", async () => {
    const { url } = await project();
    const { source, folder } = makeSource();
    const { repository } = await resolve(source, { url });
    const held = tryLock(join(folder, "locks", repository));
    const failure = await failureOf(source.resolve({ url, ref: undefined }, AbortSignal.timeout(150)));
    expect(failure.code).toBe("cancelled");
    held?.release();
    await resolve(source, { url });
  });
});

describe("Many fetches", () => {
  it("are packed into one in the background, and what is kept stays", async () => {
    const { url, commit, git } = await project();
    const { source, folder, fresh } = makeSource();
    const released = await resolve(source, { url });
    await source.keep(released, "release/1");
    const packs = join(folder, "mirrors", released.repository, "objects", "pack");
    const count = (): number => readdirSync(packs).filter((name) => name.endsWith(".pack")).length;
    for (let n = 0; n < 51; n += 1) {
      await commit({ "a.txt": `${n}\n` });
      await resolve(source, { url });
    }
    await vi.waitFor(() => expect(count()).toBeLessThan(5), { timeout: 20_000 });
    await vi.waitFor(() => expect(readdirSync(join(folder, "locks"))).toEqual([]), { timeout: 20_000 });
    await source.checkOut(released, fresh());
    expect(await resolve(source, { url })).toMatchObject({ hash: await git("rev-parse", "HEAD") });
  });
});
