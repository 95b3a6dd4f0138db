import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";

import { runCommand } from "../../src/lib/run-command.ts";
import { makeProject } from "../support/git-project.ts";
import { basic, startGitServer } from "./support/git-server.ts";
import { contentsBelow, failureOf, makeSource, resolve, standIn, textOf } from "./support/source.ts";

const credentials = { username: "canary-user", password: "canary:p@ss/w%rd" };
const encoded = `${credentials.username}:${encodeURIComponent(credentials.password)}`;

async function served(): Promise<{ readonly root: string; readonly path: string; readonly hash: string }> {
  const project = await makeProject({ files: { "bodywork.yaml": "version: 1\n" } });
  onTestFinished(() => project.remove());
  return {
    root: dirname(project.path),
    path: `/${basename(project.path)}/.git`,
    hash: await project.git("rev-parse", "HEAD"),
  };
}

/** A git in front of the real one that writes down its arguments and those of all that it starts. */
function recordArguments(bin: string, log: string): void {
  const real = process.env.PATH?.split(":").find((folder) => existsSync(join(folder, "git")));
  standIn(
    bin,
    "git",
    `printf '%s\\n' "$*" >> ${log}
${join(real ?? "", "git")} "$@" & child=$!
for i in 1 2 3 4 5; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' >> ${log}; sleep 0.01; done
wait $child`,
  );
}

/** Where the text, or what is usually made of it, is found in files. */
function placesOf(texts: readonly string[], folder: string): readonly string[] {
  return [...contentsBelow(folder)].flatMap(([name, content]) =>
    texts.some((text) => content.includes(text)) ? [name] : [],
  );
}

const canaries = [
  credentials.username,
  credentials.password,
  encodeURIComponent(credentials.password),
  Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64"),
];

describe("A server that asks for credentials", () => {
  it("gets those in the address, which are found nowhere else: not in arguments, files or words", async () => {
    const { root, path, hash } = await served();
    const { host, requests } = await startGitServer({ root, credentials });
    const { source, folder, home, bin } = makeSource({ insecureHosts: [host] });
    const log = join(home, "arguments.log");
    recordArguments(bin, log);
    const commit = await resolve(source, { url: `http://${encoded}@${host}${path}` });
    expect(commit).toMatchObject({ hash, url: `http://${host}${path}` });
    expect(requests.some(({ authorization }) => authorization === basic(credentials))).toBe(true);
    const failure = await failureOf(resolve(source, { url: `http://${encoded}@${host}/nothing` }));
    expect(canaries.filter((canary) => textOf(failure).includes(canary))).toEqual([]);
    expect(canaries.filter((canary) => JSON.stringify(commit).includes(canary))).toEqual([]);
    expect(placesOf(canaries, folder)).toEqual([]);
    expect(readFileSync(log, "utf8")).toContain("fetch --quiet");
    expect(placesOf(canaries, home)).toEqual([]);

    // The control: git with the address as it is written leaves them in both places.
    await runCommand(
      "git",
      ["clone", "--quiet", `http://${encoded}@${host}${path}`, join(folder, "careless")],
      {
        env: { PATH: `${bin}:${process.env.PATH}`, HOME: home },
      },
    );
    expect(placesOf(canaries, folder)).toContain("careless/.git/config");
    expect(placesOf(canaries, home)).toEqual(["arguments.log"]);
  });

  it("gets those that the user's own git keeps, and is asked only once without", async () => {
    const { root, path, hash } = await served();
    const { host, requests } = await startGitServer({ root, credentials });
    const { source, home } = makeSource({ insecureHosts: [host] });
    const url = `http://${host}${path}`;
    const refused = await failureOf(resolve(source, { url }));
    expect(refused).toMatchObject({ code: "repository-access", hint: expect.stringContaining("credential") });
    expect(refused.message).toContain("Git clone failed");

    writeFileSync(join(home, ".gitconfig"), "[credential]\n\thelper = store\n");
    writeFileSync(join(home, ".git-credentials"), `http://${encoded}@${host.replace(":", "%3a")}\n`);
    expect(await resolve(source, { url })).toMatchObject({ hash });
    requests.length = 0;
    expect(await resolve(source, { url })).toMatchObject({ hash });
    const before = requests.filter(({ authorization }) => authorization === undefined);
    expect(before.length).toBeLessThanOrEqual(1);
  });

  it("gets those of ~/.netrc, as with git itself", async () => {
    const { root, path, hash } = await served();
    const plain = { username: "canary-user", password: "canary-password" };
    const { host } = await startGitServer({ root, credentials: plain });
    const { source, home } = makeSource({ insecureHosts: [host] });
    writeFileSync(
      join(home, ".netrc"),
      `machine 127.0.0.1 login ${plain.username} password ${plain.password}\n`,
    );
    expect(await resolve(source, { url: `http://${host}${path}` })).toMatchObject({ hash });
  });

  it("may take a token as the user's name", async () => {
    const { root, path, hash } = await served();
    const { host } = await startGitServer({ root, credentials: { username: "canary-token", password: "" } });
    const { source } = makeSource({ insecureHosts: [host] });
    expect(await resolve(source, { url: `http://canary-token@${host}${path}` })).toMatchObject({ hash });
  });

  it("that refuses them says so, and shows none of them", async () => {
    const { root, path } = await served();
    const { host } = await startGitServer({ root, credentials });
    const { source } = makeSource({ insecureHosts: [host] });
    const failure = await failureOf(resolve(source, { url: `http://wrong:canary-wrong@${host}${path}` }));
    expect(failure).toMatchObject({ code: "repository-access" });
    expect(failure.message).toContain("did not accept the user name and password");
    expect(textOf(failure)).not.toContain("canary-wrong");
  });

  it("that sends the caller on to another server does not get that one the credentials", async () => {
    const { root, path } = await served();
    const other = await startGitServer({ root, credentials });
    const first = await startGitServer({
      instead: (request, response) => {
        response.writeHead(302, { location: `http://${other.host}${request.url}` }).end();
        return true;
      },
    });
    const { source, bin } = makeSource({ insecureHosts: [first.host, other.host] });
    const failure = await failureOf(resolve(source, { url: `http://${encoded}@${first.host}${path}` }));
    expect(failure.code).toBe("repository-access");
    expect(other.requests.length).toBeGreaterThan(0);
    const given = (): unknown[] => other.requests.filter(({ authorization }) => authorization !== undefined);
    expect(given()).toEqual([]);

    // The control: a helper that answers whoever asks hands them over.
    standIn(bin, "askpass", `case "$1" in User*) echo ${credentials.username} ;; *) echo x ;; esac`);
    await runCommand("git", ["ls-remote", `http://${first.host}${path}`], {
      env: { PATH: process.env.PATH ?? "", GIT_ASKPASS: join(bin, "askpass") },
    });
    expect(given()).not.toEqual([]);
  });
});

describe("A redirect", () => {
  it("of the first request is followed", async () => {
    const { root, path, hash } = await served();
    const { host } = await startGitServer({ root, instead: redirect("/old", path, /^\/old/) });
    const { source } = makeSource({ insecureHosts: [host] });
    expect(await resolve(source, { url: `http://${host}/old` })).toMatchObject({
      hash,
      url: `http://${host}/old`,
    });
  });

  it("of a later request is not", async () => {
    const { root, path } = await served();
    const { host } = await startGitServer({
      root,
      instead: redirect(path, "/elsewhere", /git-upload-pack$/),
    });
    const { source } = makeSource({ insecureHosts: [host] });
    await failureOf(resolve(source, { url: `http://${host}${path}` }));
  });

  it("to a file is not", async () => {
    const { root, path } = await served();
    const { host } = await startGitServer({
      instead: (_, response) => {
        response.writeHead(302, { location: `file://${root}${path}/info/refs` }).end();
        return true;
      },
    });
    const { source } = makeSource({ insecureHosts: [host] });
    await failureOf(resolve(source, { url: `http://${host}${path}` }));
  });
});

function redirect(
  from: string,
  to: string,
  which: RegExp,
): NonNullable<Parameters<typeof startGitServer>[0]["instead"]> {
  return (request, response) => {
    const url = request.url ?? "";
    if (!which.test(url.replace(/\?.*/, ""))) return false;
    response.writeHead(302, { location: url.replace(from, to) }).end();
    return true;
  };
}

describe("The user's settings", () => {
  it("of a proxy are used, also when they are in git's configuration only", async () => {
    const { root, path, hash } = await served();
    const proxy = await startGitServer({ root, instead: unproxied });
    const { source, home } = makeSource({ insecureHosts: ["git.invalid"] });
    writeFileSync(join(home, ".gitconfig"), `[http "http://git.invalid"]\n\tproxy = http://${proxy.host}\n`);
    expect(await resolve(source, { url: `http://git.invalid${path}` })).toMatchObject({ hash });
    expect(proxy.requests[0]?.path).toContain("http://git.invalid/");
  });

  it("of a proxy are used when they are in the environment", async () => {
    const { root, path, hash } = await served();
    const proxy = await startGitServer({ root, instead: unproxied });
    const { source } = makeSource({
      insecureHosts: ["git.invalid"],
      environment: { PATH: process.env.PATH ?? "", http_proxy: `http://${proxy.host}` },
    });
    expect(await resolve(source, { url: `http://git.invalid${path}` })).toMatchObject({ hash });
  });

  it("that would send more than that are not", async () => {
    const { root, path, hash } = await served();
    const { host } = await startGitServer({ root });
    const { source, home } = makeSource({ insecureHosts: [host] });
    writeFileSync(
      join(home, ".gitconfig"),
      "[http]\n\textraHeader = Authorization: canary\n\tcookieFile = /etc/passwd\n",
    );
    expect(await resolve(source, { url: `http://${host}${path}` })).toMatchObject({ hash });
  });
});

/** A proxy is asked for whole addresses. */
const unproxied: NonNullable<Parameters<typeof startGitServer>[0]["instead"]> = (request) => {
  request.url = (request.url ?? "").replace(/^http:\/\/[^/]+/, "");
  return false;
};

describe("A server that is not to be had", () => {
  it("is unreachable, in git's own words, and may be tried again", async () => {
    const { source } = makeSource();
    const failure = await failureOf(resolve(source, { url: "https://127.0.0.1:9/a/b" }));
    expect(failure).toMatchObject({ code: "repository-unreachable", kind: "retry" });
    expect(failure.details.join()).toContain("fatal: unable to access");
  });

  it.each([
    [403, "repository-access"],
    [404, "repository-access"],
    [500, "repository-unreachable"],
    [503, "repository-unreachable"],
  ])("answers %i: %s", async (status, code) => {
    const { host } = await startGitServer({
      instead: (_, response) => {
        response.writeHead(status).end("no");
        return true;
      },
    });
    const { source } = makeSource({ insecureHosts: [host] });
    expect(await failureOf(resolve(source, { url: `http://${host}/a` }))).toMatchObject({ code });
  });

  it("keeps what is here as it is", async () => {
    const { root, path, hash } = await served();
    let isDown = false;
    const { host } = await startGitServer({
      root,
      instead: (_, response) => {
        if (isDown) response.writeHead(500).end();
        return isDown;
      },
    });
    const { source, fresh } = makeSource({ insecureHosts: [host] });
    const commit = await resolve(source, { url: `http://${host}${path}` });
    isDown = true;
    await failureOf(resolve(source, { url: `http://${host}${path}` }));
    await source.checkOut(commit, fresh());
    expect(await resolve(source, { url: `http://${host}${path}`, ref: hash })).toMatchObject({ hash });
  });
});

describe("A server without end", () => {
  it("that sends a byte now and then is left after the time limit, with its processes", async () => {
    const { host } = await startGitServer({ instead: trickle });
    const { source, folder } = makeSource({ insecureHosts: [host], fetchTimeoutSeconds: 1 });
    const before = Date.now();
    const failure = await failureOf(resolve(source, { url: `http://${host}/slow` }));
    expect(failure).toMatchObject({
      code: "timed-out",
      hint: expect.stringContaining("git.fetch_timeout_seconds"),
    });
    expect(Date.now() - before).toBeLessThan(6000);
    expect(readdirSync(join(folder, "mirrors"))).toEqual([]);
  });

  it("is left when the run is cancelled", async () => {
    const { host } = await startGitServer({ instead: trickle });
    const { source } = makeSource({ insecureHosts: [host] });
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 300);
    const failure = await failureOf(
      source.resolve({ url: `http://${host}/slow`, ref: undefined }, stop.signal),
    );
    expect(failure.code).toBe("cancelled");
  });

  it("that sends more than the limit is left, and the disk is as it was", async () => {
    const project = await makeProject({ files: { "bodywork.yaml": "x" } });
    onTestFinished(() => project.remove());
    const { source, folder } = makeSource({ maxRepositoryMb: 2 });
    const small = await resolve(source, { url: project.url });
    const mirror = join(folder, "mirrors", small.repository);
    const before = bytesBelow(folder);
    await project.commit({ "big.bin": randomBytes(8 * 1024 * 1024) });
    const other = makeSource({ maxRepositoryMb: 2 });
    const failure = await failureOf(resolve(other.source, { url: project.url }));
    expect(await failureOf(resolve(source, { url: project.url }))).toMatchObject({
      code: "repository-limit",
    });
    expect(failure).toMatchObject({
      code: "repository-limit",
      hint: expect.stringContaining("git.max_repository_mb"),
    });
    expect(failure.message).toContain("larger than 2 MiB");
    expect(readdirSync(join(other.folder, "mirrors"))).toEqual([]);
    expect(existsSync(mirror)).toBe(true);
    // The control: without that limit it is fetched, and there is as much more on the disk.
    await resolve(other.again({ maxRepositoryMb: 64 }), { url: project.url });
    expect(bytesBelow(other.folder)).toBeGreaterThan(before + 8 * 1024 * 1024);
  });
});

function bytesBelow(folder: string): number {
  return [...contentsBelow(folder).values()].reduce((sum, { length }) => sum + length, 0);
}

const trickle: NonNullable<Parameters<typeof startGitServer>[0]["instead"]> = (_, response) => {
  response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
  response.write("001e# service=git-upload-pack\n0000");
  const timer = setInterval(() => response.write("0"), 100);
  response.on("close", () => clearInterval(timer));
  return true;
};
