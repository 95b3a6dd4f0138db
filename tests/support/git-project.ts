import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { runCommand } from "../../src/lib/run-command.ts";

/** Path → text, or bytes, or something else that git knows; null removes the file. */
export type Files = Readonly<Record<string, string | Uint8Array | SpecialFile | null>>;
export type SpecialFile = { readonly link: string } | { readonly script: string };

export interface GitProject {
  readonly path: string;
  /** `file://…`, what `create deployment` is given. */
  readonly url: string;
  /** Writes the files and commits everything; the commit's 40-hex name. */
  commit(files: Files, message?: string): Promise<string>;
  /** Any other git command in it; its output, trimmed. */
  git(...args: readonly string[]): Promise<string>;
  remove(): void;
}

/** A real Git repository in a temporary folder with one commit of `files`. */
export async function makeProject(options: {
  readonly files: Files;
  readonly branch?: string;
  /** Where; a fresh temporary folder by default. */
  readonly path?: string;
}): Promise<GitProject> {
  const path = options.path ?? realpathSync(mkdtempSync(join(tmpdir(), "project-")));
  mkdirSync(path, { recursive: true });
  const git = (...args: readonly string[]): Promise<string> => runGit(path, args);
  const commit = async (files: Files, message = "Change"): Promise<string> => {
    writeFiles(path, files);
    await git("add", "--all");
    await git("commit", "--quiet", "--allow-empty", "--message", message);
    return git("rev-parse", "HEAD");
  };
  await git("init", "--quiet", `--initial-branch=${options.branch ?? "main"}`);
  await commit(options.files, "First");
  return {
    path,
    url: pathToFileURL(path).href,
    commit,
    git,
    remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }),
  };
}

export function writeFiles(folder: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    rmSync(path, { recursive: true, force: true });
    if (content === null) continue;
    mkdirSync(dirname(path), { recursive: true });
    if (typeof content === "string" || content instanceof Uint8Array) writeFileSync(path, content);
    else if ("link" in content) symlinkSync(content.link, path);
    else {
      writeFileSync(path, content.script);
      chmodSync(path, 0o755);
    }
  }
}

async function runGit(cwd: string, args: readonly string[]): Promise<string> {
  const result = await runCommand("git", args, { cwd, env: gitEnvironment });
  if (result.exitCode === 0) return result.stdout.trim();
  throw new Error(`git ${args.join(" ")} failed in ${cwd}: ${result.startError ?? result.stderr}`);
}

/** Fixed, so that the same files give the same commit everywhere. */
const gitEnvironment = {
  PATH: process.env.PATH ?? "",
  HOME: tmpdir(),
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null",
  GIT_AUTHOR_NAME: "Test",
  GIT_AUTHOR_EMAIL: "test@example.com",
  GIT_AUTHOR_DATE: "2026-01-01T00:00:00Z",
  GIT_COMMITTER_NAME: "Test",
  GIT_COMMITTER_EMAIL: "test@example.com",
  GIT_COMMITTER_DATE: "2026-01-01T00:00:00Z",
};
