import { createHash } from "node:crypto";
import { Failure } from "../../src/core/failure.ts";
import type { RunCommit } from "../../src/core/run-state.ts";
import type { Artifacts } from "../../src/ports/artifacts.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Environment, EnvironmentRequest, Environments } from "../../src/ports/environments.ts";
import type { RepositoryRequest, Source } from "../../src/ports/source.ts";

export interface FakeSource extends Source {
  /** What the remote's branches hold from now on. */
  push(url: string, files: Readonly<Record<string, string>>): RunCommit;
  /** Names under which commits are protected. */
  readonly kept: Set<string>;
  readonly asked: RepositoryRequest[];
}

/** Repositories in memory: a push makes a commit of files, by URL. */
export function fakeSource(): FakeSource {
  const tips = new Map<string, RunCommit>();
  const trees = new Map<string, Readonly<Record<string, string>>>();
  const kept = new Set<string>();
  const asked: RepositoryRequest[] = [];
  return {
    kept,
    asked,
    check(url) {
      if (!url.includes("://")) throw new Failure("repository-url", `Cannot use the repository "${url}".`);
    },
    push(url, files) {
      const hash = createHash("sha1").update(`${trees.size} ${url}`).digest("hex");
      trees.set(hash, files);
      const commit = {
        repository: createHash("sha256").update(url).digest("hex"),
        hash,
        url,
        shortHash: hash.slice(0, 7),
        branch: "main",
        author: "Ada",
        subject: "Change",
        committedAt: "2026-11-23T18:00:00.000Z",
      };
      tips.set(url, commit);
      return commit;
    },
    async resolve(request) {
      asked.push(request);
      const commit = tips.get(request.url.replace(/\/\/[^/]*@/, "//"));
      if (commit === undefined)
        throw new Failure("repository-access", `There is no repository ${request.url}.`);
      return commit;
    },
    async readFile(commit, path) {
      const text = trees.get(commit.hash)?.[path];
      return text === undefined ? undefined : Buffer.from(text);
    },
    listFiles: async (commit) => new Set(Object.keys(trees.get(commit.hash) ?? {})),
    checkOut: async () => {},
    archive: async (commit) => Buffer.from(commit.hash),
    async keep(_commit, name) {
      kept.add(name);
    },
    async forget(_commit, name) {
      kept.delete(name);
    },
  };
}

export interface FakeEnvironments extends Environments {
  /** Requests that had to be built, in order. */
  readonly built: EnvironmentRequest[];
  readonly swept: { keep: ReadonlySet<string>; unusedSince: Date }[];
}

/**
 * Environments that are made at once; a requirement named `missing` can't be had, `slow` only with `release`, and with
 * `old` it is made for another Python than the wanted one, which `strict` refuses.
 */
export function fakeEnvironments(release: Promise<void> = Promise.resolve()): FakeEnvironments {
  const built: EnvironmentRequest[] = [];
  const known = new Map<string, Environment>();
  const swept: { keep: ReadonlySet<string>; unusedSince: Date }[] = [];
  return {
    built,
    swept,
    find: (request) => known.get(JSON.stringify(request)),
    async prepare(request, options) {
      if (request.requirements.includes("missing")) {
        throw new Failure("environment-failed", "missing is nowhere to be had.", {
          details: ["No matching"],
        });
      }
      const warnings = request.requirements.includes("old") ? [otherPython] : [];
      if (options?.strict === true && warnings.length > 0) throw new Failure("python-missing", otherPython);
      const ready = known.get(JSON.stringify(request));
      if (ready !== undefined) return { ...ready, built: false };
      if (request.requirements.includes("slow")) {
        const aborted = new Promise<never>((_, reject) => {
          options?.signal?.addEventListener("abort", () => reject(options.signal?.reason), { once: true });
        });
        await Promise.race([release, aborted]);
      }
      built.push(request);
      const key = createHash("sha256").update(JSON.stringify(request)).digest("hex");
      const environment = {
        key,
        folder: `/environments/${key}`,
        python: `/environments/${key}/bin/python`,
        pythonVersion: "3.11.7",
        lock: "",
        warnings,
      };
      known.set(JSON.stringify(request), environment);
      return { ...environment, built: true };
    },
    list: async () => [],
    async sweep(options) {
      swept.push({ keep: options.keep, unusedSince: options.unusedSince });
      return [];
    },
  };
}

export const otherPython = "Python 3.11 is not on this machine; Python 3.12.1 is used instead.";

export interface FakeArtifacts extends Artifacts {
  /** What each sweep was to keep. */
  readonly sweeps: ReadonlySet<string>[];
}

export function fakeArtifacts(): FakeArtifacts {
  const sweeps: ReadonlySet<string>[] = [];
  return {
    sweeps,
    async collect() {
      throw new Error("only engines collect");
    },
    async place() {
      throw new Error("only engines place");
    },
    verify: async () => true,
    async sweep(keep) {
      sweeps.push(keep);
      return 0;
    },
  };
}

/** Goes on by a millisecond at each look; sleeps pass at once. */
export function quickClock(from = Date.parse("2026-11-23T19:00:00.000Z")): Clock {
  let time = from;
  return {
    now: () => new Date(time++),
    monotonic: () => time++,
    sleep: (_milliseconds, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) reject(signal.reason);
        setImmediate(resolve);
      }),
  };
}
