import { chmodSync, type Dirent, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

import type { Failure } from "../../../src/core/failure.ts";
import { createGitSource, type GitSourceOptions } from "../../../src/git/git-source.ts";
import type { RepositoryRequest, Source } from "../../../src/ports/source.ts";
import { temporaryFolder } from "../../support/temporary.ts";

export interface SourceUnderTest {
  readonly source: Source;
  readonly folder: string;
  /** The user's home: what is in its `.gitconfig` and `.ssh` counts as theirs. */
  readonly home: string;
  /** First on PATH: a program in it stands for the real one. */
  readonly bin: string;
  /** A path for a checkout, at which nothing is. */
  fresh(): string;
  /** A second source on the same folder, as another process would have it. */
  again(more?: Partial<GitSourceOptions>): Source;
}

/** A source with a folder, a home and a PATH of its own. Call it inside a test. */
export function makeSource(more: Partial<GitSourceOptions> = {}): SourceUnderTest {
  const root = temporaryFolder("git");
  const [folder, home, bin] = [join(root, "git"), join(root, "home"), join(root, "bin")];
  for (const path of [home, bin]) mkdirSync(path);
  const options: GitSourceOptions = {
    folder,
    environment: { PATH: `${bin}:${process.env.PATH}`, HOME: home },
    insecureHosts: [],
    fetchTimeoutSeconds: 60,
    maxRepositoryMb: 512,
    ...more,
  };
  let count = 0;
  return {
    source: createGitSource(options),
    folder,
    home,
    bin,
    fresh: () => {
      count += 1;
      return join(root, `checkout-${count}`);
    },
    again: (other = {}) => createGitSource({ ...options, ...other }),
  };
}

export function resolve(
  source: Source,
  request: Partial<RepositoryRequest> & { readonly url: string },
): ReturnType<Source["resolve"]> {
  return source.resolve({ ref: undefined, ...request }, new AbortController().signal);
}

/** The failure that the promise must end with. */
export async function failureOf(action: Promise<unknown>): Promise<Failure> {
  const outcome = await action.then(
    (value) => ({ value }),
    (error: Failure) => ({ error }),
  );
  if ("error" in outcome) return outcome.error;
  throw new Error(`It did not fail, but gave ${JSON.stringify(outcome.value)}`);
}

/** All that a user would be shown of it. */
export function textOf(failure: Failure): string {
  return [failure.message, ...failure.details, failure.hint].join("\n");
}

/** Puts a shell script in front of the real program of that name. */
export function standIn(bin: string, name: string, script: string): void {
  const path = join(bin, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

/** Every regular file below the folder, with its content. Links are not followed. */
export function contentsBelow(folder: string): ReadonlyMap<string, Buffer> {
  const files = entriesBelow(folder).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [relative(folder, path), readFileSync(path)];
    }),
  );
}

/** All that is below the folder, itself not. Links are not followed, as Node's own recursion would. */
export function entriesBelow(folder: string): readonly Dirent[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry, ...entriesBelow(join(folder, entry.name))] : [entry],
  );
}
