import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";

import { Failure } from "../../src/core/failure.ts";
import * as git from "../../src/git/git-arguments.ts";
import { parseRepositoryUrl, type RepositoryUrl } from "../../src/git/repository-url.ts";
import { checkRef } from "../../src/git/resolve-ref.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import { makeProject } from "../support/git-project.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { failureOf, makeSource, resolve, standIn } from "./support/source.ts";

const canary = "--upload-pack=touch X";

/** Text in which what is dangerous is frequent. */
const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc
    .array(
      fc.constantFrom(
        "-",
        "--",
        "/",
        ":",
        "@",
        "..",
        "file://",
        "https://",
        "ssh://",
        "git@",
        "h.x",
        "a",
        "=",
        " ",
        "\n",
        "\0",
        "ext::",
        canary,
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join("")),
  fc.stringMatching(/^(git@|ssh:\/\/|https:\/\/|file:\/\/\/|-{1,2})[a-z0-9.-]{1,12}[:/][a-z0-9/._-]{0,20}$/),
);

function accepted<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

/** Every command that a URL and a ref of a user lead to. */
function commandsFor(url: RepositoryUrl, ref: string): readonly (readonly string[])[] {
  const hash = "0123456789".repeat(4);
  return [
    git.fetchArguments(url, true),
    git.fetchArguments(url, false),
    git.fetchCommitArguments(url, hash),
    git.symrefArguments(url),
    git.logArguments(git.revisionsOf(ref)),
    git.keepArguments(git.keepRef(ref), hash),
    git.forgetArguments(git.keepRef(ref)),
    git.salvageArguments("/mirror", git.keepRef(ref)),
  ];
}

/**
 * Arguments before `--` or `--end-of-options` that are not among the fixed ones, and those behind it that a program
 * which does not know that end would take for options.
 */
function faultsOf(args: readonly string[]): readonly string[] {
  const end = args.findIndex((arg) => arg === "--" || arg === "--end-of-options");
  const before = end < 0 ? args : args.slice(0, end);
  const behind = end < 0 ? [] : args.slice(end + 1);
  return [
    ...before.filter((arg) => !fixedArguments.has(arg)),
    ...behind.filter((arg) => arg.startsWith("-") || arg.includes("\0")),
  ];
}

const plain = parseRepositoryUrl("https://example.com/a", []);
const fixedArguments = new Set(
  commandsFor(plain, "main").flatMap((args) =>
    args.slice(
      0,
      args.findIndex((arg) => arg === "--" || arg === "--end-of-options"),
    ),
  ),
);

describe("The arguments of git", () => {
  it("have no value of a user before their end, and none behind it that begins like an option (10,000 cases)", () => {
    let used = 0;
    fc.assert(
      fc.property(hostile, hostile, (address, name) => {
        const url = accepted(() => parseRepositoryUrl(address, ["h.x"])) ?? plain;
        const ref = accepted(() => checkRef(name, url)) ?? "main";
        if (url !== plain || ref !== "main") used += 1;
        expect(commandsFor(url, ref).flatMap(faultsOf), `${address} ${name}`).toEqual([]);
      }),
      { numRuns: 10_000, seed: 20261123 },
    );
    expect(used).toBeGreaterThan(1000);
  });

  it("would be seen to be wrong: without the end of options, the same check finds the canary", () => {
    const careless = ["fetch", "--quiet", canary, "refs/heads/*:refs/heads/*"];
    expect(faultsOf(careless)).toContain(canary);
    expect(faultsOf(["fetch", "--", canary])).toEqual([canary]);
  });

  it("take only full names of commits, and only refs of ours", () => {
    for (const hash of ["", "abc", canary, `${"a".repeat(40)}\n`, "A".repeat(40)]) {
      expect(() => git.listTreeArguments(hash)).toThrow(TypeError);
      expect(() => git.checkOutArguments(hash)).toThrow(TypeError);
      expect(() => git.fetchCommitArguments(plain, hash)).toThrow(TypeError);
      expect(() => git.keepArguments(git.keepRef("x"), hash)).toThrow(TypeError);
    }
    expect(() => git.forgetArguments(canary)).toThrow(TypeError);
  });

  it("name what is kept in a way that can be told apart and that git allows (1,000 cases)", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 300 }), (name) => {
        const ref = git.keepRef(name);
        expect(ref).toMatch(/^refs\/bodywork\/keep\/[A-Za-z0-9_=-]{1,250}$/);
      }),
      { numRuns: 1000, seed: 1 },
    );
    expect(git.keepRef("a/b")).not.toBe(git.keepRef("a-b"));
    expect(git.keepRef("x".repeat(300))).not.toBe(git.keepRef("x".repeat(301)));
  });
});

describe("A canary in the place of every value", () => {
  it("starts nothing, whatever part of a request it is", async () => {
    const project = await makeProject({ files: { "bodywork.yaml": "x" } });
    onTestFinished(() => project.remove());
    const { source, folder, fresh, bin } = makeSource();
    const root = temporaryFolder();
    const evil = `--upload-pack=touch ${join(root, "X")}`;
    const ssh = join(root, "ssh-arguments");
    standIn(bin, "ssh", `printf '%s\\n' "$@" >> ${ssh}; exit 255`);
    const { url } = project;
    for (const ref of [evil, `refs/heads/${evil}`, evil.replace(" ", "\t"), "--exec=x"]) {
      await failureOf(resolve(source, { url, ref }));
    }
    for (const address of [
      evil,
      `file://${evil}`,
      `git@${evil}:x`,
      `git@host:${evil}`,
      `ssh://${evil}/x`,
      `https://${evil}/x`,
      `ext::touch ${root}/X`,
    ]) {
      await failureOf(resolve(source, { url: address }));
    }
    const commit = await resolve(source, { url });
    for (const hash of [evil, "HEAD", "main"]) {
      await expect(source.checkOut({ ...commit, hash }, fresh())).rejects.toThrow();
      await expect(source.keep({ ...commit, hash }, "x")).rejects.toThrow();
      await expect(source.listFiles({ ...commit, hash })).rejects.toThrow();
    }
    for (const repository of [evil, "../..", "", `${commit.repository}/..`]) {
      await expect(source.checkOut({ ...commit, repository }, fresh())).rejects.toThrow(TypeError);
    }
    await source.keep(commit, evil);
    await source.forget(commit, evil);
    expect(await source.readFile(commit, evil)).toBeUndefined();
    expect(existsSync(join(root, "X"))).toBe(false);
    expect(existsSync(join(folder, "X"))).toBe(false);
    expect(existsSync(ssh) ? readFileSync(ssh, "utf8") : "").not.toContain("--upload-pack");
  });

  it("would start something if it were not for the end of options", async () => {
    const project = await makeProject({ files: { "bodywork.yaml": "x" } });
    onTestFinished(() => project.remove());
    const marker = join(temporaryFolder(), "X");
    await runCommand(
      "git",
      ["fetch", "--quiet", project.url, `--upload-pack=touch ${marker}; git-upload-pack`],
      {
        env: { PATH: process.env.PATH ?? "" },
        cwd: project.path,
      },
    );
    expect(existsSync(marker)).toBe(true);
  });
});
