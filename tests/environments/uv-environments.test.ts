import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCommand } from "../../src/lib/run-command.ts";
import type { Environment } from "../../src/ports/environments.ts";
import { smallDisk } from "../lib/support/small-disk.ts";
import { makeProject } from "../support/git-project.ts";
import { temporaryFolder } from "../support/temporary.ts";
import {
  aMachine,
  hasUv,
  keysIn,
  privateIndex,
  python,
  request,
  settled,
  startupPth,
} from "./support/machine.ts";
import { makeSdist, makeWheel, sha256, sourcePackage } from "./support/packages.ts";

describe.skipIf(!hasUv)(
  "building an environment with uv (skipped: put uv on PATH, as the set-up does)",
  () => {
    test("it has what was asked for and what that needs, the start-up file, and commands that run", async () => {
      const machine = aMachine();
      makeWheel(machine.packages, "iris_tools", "1.5", {
        requires: ["base>=1"],
        files: { "iris_tools.py": "def main():\n    import sys; print(sys.prefix)\n" },
        scripts: { "show-prefix": "iris_tools:main" },
      });
      makeWheel(machine.packages, "base", "2.0");
      const output: string[] = [];
      const wanted = request(["iris_tools==1.5"]);
      expect(machine.environments.find(wanted)).toBeUndefined();
      const made = await machine.environments.prepare(wanted, { onOutput: (text) => output.push(text) });
      expect(made).toMatchObject({ built: true, lock: "base==2.0\niris-tools==1.5", warnings: [] });
      expect(await python(made, "import base, sys; print(base.version, sys.started_by)")).toBe(
        "2.0 bodywork",
      );
      const command = await runCommand(join(made.folder, "bin/show-prefix"), [], { env: {} });
      expect(command.stdout.trim()).toBe(made.folder);
      expect(output.join("")).toMatch(/Resolved 2 packages[\s\S]*Installed 2 packages/);
      const log = readFileSync(join(machine.folder, "logs", `${made.key}.log`), "utf8");
      expect(log).toMatch(/requirements: iris_tools==1.5\n[\s\S]*Installed 2 packages/);
      const { built, ...environment } = made;
      expect(machine.environments.find(wanted)).toEqual(environment);
      expect(await machine.environments.prepare(wanted)).toEqual({ ...environment, built: false });
      await settled(machine.folder);
      const [listed, ...others] = await machine.environments.list();
      expect(others).toEqual([]);
      expect(listed).toMatchObject(environment);
      expect(listed?.bytes).toBeGreaterThan(1000);
      expect(readdirSync(machine.folder).sort()).toEqual([made.key, "locks", "logs", "pythons"].sort());
    });

    test("an empty one is an environment too, and needs no installer", async () => {
      const machine = aMachine();
      const made = await machine.environments.prepare(request([]));
      expect(made.lock).toBe("");
      expect(await python(made, "import sys; print(sys.prefix == sys.base_prefix)")).toBe("False");
      expect(made.pythonVersion).toBe(
        await python(made, "import platform; print(platform.python_version())"),
      );
    });

    test("finding it starts no process and takes a few milliseconds", async () => {
      const machine = aMachine();
      const wanted = request([], { requirementsFile: "# nothing\n" });
      await machine.environments.prepare(wanted);
      const times = Array.from({ length: 40 }, () => {
        const start = performance.now();
        expect(machine.environments.find(wanted)).toBeDefined();
        return performance.now() - start;
      });
      expect(process.getActiveResourcesInfo()).not.toContain("ProcessWrap");
      expect(times.sort((left, right) => left - right)[20]).toBeLessThan(25);
    });

    test("finding it marks it used", async () => {
      const machine = aMachine();
      const { folder } = await machine.environments.prepare(request([]));
      const record = join(folder, "environment.json");
      utimesSync(record, 1000, 1000);
      machine.environments.find(request([]));
      expect(Date.now() - statSync(record).mtimeMs).toBeLessThan(60_000);
    });

    test("a newer tool's start-up file replaces the older one's", async () => {
      const machine = aMachine();
      const made = await machine.environments.prepare(request([]));
      const file = (
        await runCommand("find", [made.folder, "-name", "_bodywork.pth"], {
          env: { PATH: process.env.PATH ?? "" },
        })
      ).stdout.trim();
      writeFileSync(file, "import sys; sys.started_by = 'an older one'\n");
      machine.environments.find(request([]));
      expect(readFileSync(file, "utf8")).toBe(startupPth);
    });

    test("an environment that lost its interpreter is made again", async () => {
      const machine = aMachine();
      const made = await machine.environments.prepare(request([]));
      await settled(machine.folder);
      const environment = { PATH: process.env.PATH ?? "" };
      await runCommand("rm", ["-r", join(made.folder, "bin")], { env: environment });
      expect(machine.environments.find(request([]))).toBeUndefined();
      expect((await machine.environments.prepare(request([]))).built).toBe(true);
      expect(await python(made, "print(1)")).toBe("1");
    });

    test("a stage that is a notebook gets what runs notebooks as well", async () => {
      const machine = aMachine();
      for (const name of ["nbclient", "nbconvert", "ipykernel", "pinned"])
        makeWheel(machine.packages, name, "1");
      const made = await machine.environments.prepare(request([], { notebook: true }));
      expect(made.lock).toBe("ipykernel==1\nnbclient==1\nnbconvert==1");
      const hash = sha256(readFileSync(join(machine.packages, "pinned-1-py3-none-any.whl")));
      const requirementsFile = `pinned==1 --hash=sha256:${hash}\n`;
      const pinned = await machine.environments.prepare(request([], { notebook: true, requirementsFile }));
      expect(pinned.lock).toBe("ipykernel==1\nnbclient==1\nnbconvert==1\npinned==1");
    });

    test("a requirement that can't be had fails with uv's own reason, and nothing is left but the log", async () => {
      const machine = aMachine();
      makeWheel(machine.packages, "there", "1");
      const failure = await machine.environments.prepare(request(["there", "missing-one==9"])).then(
        () => undefined,
        (error) => error,
      );
      expect(failure).toMatchObject({
        code: "environment-failed",
        message: 'uv could not install "missing-one==9".',
      });
      expect(failure.details.join("\n")).toMatch(/missing-one/);
      expect(readdirSync(machine.folder).filter((name) => name.startsWith("."))).toEqual([]);
      expect(keysIn(machine.folder)).toEqual([]);
      const [log = ""] = readdirSync(join(machine.folder, "logs"));
      expect(readFileSync(join(machine.folder, "logs", log), "utf8")).toMatch(
        /missing-one[\s\S]*Failed: uv could/,
      );
      makeWheel(machine.packages, "missing_one", "9");
      expect((await machine.environments.prepare(request(["there", "missing-one==9"]))).built).toBe(true);
    });

    test("a package whose content is not what its hash says is refused", async () => {
      const machine = aMachine();
      const wheel = makeWheel(machine.packages, "pinned", "1");
      const file = (hash: string) =>
        request([], { requirementsFile: `pinned==1 \\\n  --hash=sha256:${hash}\n` });
      const right = file(sha256(readFileSync(wheel)));
      await expect(machine.environments.prepare(file("0".repeat(64)))).rejects.toMatchObject({
        code: "environment-failed",
        details: expect.arrayContaining([expect.stringMatching(/hash/i)]),
      });
      expect((await machine.environments.prepare(right)).lock).toBe("pinned==1");
    });

    test("with hashes, a requirement without one is refused", async () => {
      const machine = aMachine();
      const wheel = makeWheel(machine.packages, "pinned", "1");
      makeWheel(machine.packages, "loose", "1");
      const requirementsFile = `pinned==1 --hash=sha256:${sha256(readFileSync(wheel))}\nloose==1\n`;
      await expect(machine.environments.prepare(request([], { requirementsFile }))).rejects.toMatchObject({
        code: "environment-failed",
        details: expect.arrayContaining([expect.stringMatching(/loose/)]),
      });
    });

    test("options among the requirements are followed: another index, pre-releases, a Git repository", async () => {
      const machine = aMachine({ PIP_NO_INDEX: "" });
      const elsewhere = temporaryFolder("elsewhere");
      makeWheel(elsewhere, "private_one", "2");
      makeWheel(machine.packages, "early", "3.0rc1");
      makeWheel(machine.packages, "early", "2.0");
      const url = await privateIndex(elsewhere, "me", "word");
      const project = await makeProject({
        files: sourcePackage("fromgit", "4"),
        path: temporaryFolder("git"),
      });
      const forms = [
        ["--index-url", url],
        [`--index-url ${url}`],
        [`-i=${url}`],
        ["--find-links", elsewhere, "--no-index"],
      ];
      for (const form of forms) {
        const made = await machine.environments.prepare(request([...form, "private-one"]));
        expect(made.lock).toBe("private-one==2");
      }
      const offline = machine.withVariables({ PIP_NO_INDEX: "1" });
      expect((await offline.prepare(request(["--pre", "early"]))).lock).toBe("early==3.0rc1");
      expect((await offline.prepare(request(["early"]))).lock).toBe("early==2.0");
      const fromGit = await offline.prepare(request([`fromgit @ git+${project.url}`]));
      const commit = await project.git("rev-parse", "HEAD");
      expect(fromGit.lock).toBe(`fromgit @ git+${project.url}@${commit}`);
      expect(await python(fromGit, "import fromgit; print(fromgit.version)")).toBe("4");
    });

    test("pip's settings of the machine count, its index above all, and no password shows anywhere", async () => {
      const password = "hunter2-canary";
      const machine = aMachine({ PIP_NO_INDEX: "", PIP_FIND_LINKS: "" });
      makeWheel(machine.packages, "private_one", "2");
      const url = await privateIndex(machine.packages, "me", password);
      const configuration = join(machine.variables.HOME as string, ".config/pip/pip.conf");
      mkdirSync(dirname(configuration), { recursive: true });
      writeFileSync(configuration, `[global]\nindex-url = ${url}\n`);
      const output: string[] = [];
      const onOutput = (text: string): void => void output.push(text);
      const made = await machine.environments.prepare(request(["private-one"]), { onOutput });
      expect(made.lock).toBe("private-one==2");
      const direct = `private-one @ ${url.replace("simple/", "files/private_one-2-py3-none-any.whl")}`;
      const second = await machine.environments.prepare(request([direct]), { onOutput });
      expect(second.lock).toMatch(/^private-one @ http:\/\/(\*\*\*\*@)?127/);
      const missing = request([`--extra-index-url ${url}`, "missing-one"]);
      const failure = await machine.environments.prepare(missing, { onOutput }).catch((error) => error);
      expect(failure.code).toBe("environment-failed");
      await settled(machine.folder);
      const shown = [
        output,
        made,
        second,
        failure.message,
        failure.details,
        await machine.environments.list(),
      ];
      expect(JSON.stringify(shown)).not.toContain(password);
      const found = await runCommand("grep", ["-rl", password, machine.folder], {
        env: { PATH: process.env.PATH ?? "" },
      });
      expect(found.stdout).toBe("");
    });

    test("a build sees nothing of the machine's variables but what it needs", async () => {
      const machine = aMachine({
        AWS_SECRET_ACCESS_KEY: "s",
        BODYWORK_TOKEN: "s",
        GITHUB_TOKEN: "s",
        LANG: "C.UTF-8",
      });
      await makeSdist(machine.packages, "curious", "1", "extra = 'names = ' + repr(sorted(os.environ))");
      const made = await machine.environments.prepare(request(["curious"]));
      const names = await python(made, "import curious; print(' '.join(curious.names))");
      expect(names.split(" ")).toContain("LANG");
      const known =
        /^(PATH|HOME|LANG|LC_CTYPE|PWD|VIRTUAL_ENV|CLICOLOR|GIT_TERMINAL_PROMPT|SSL_CERT_FILE|PIP_\w+|UV_?\w*|PYTHON\w+|__PYVENV_LAUNCHER__|_)$/;
      expect(names.split(" ").filter((name) => !known.test(name))).toEqual([]);
    });

    test("settings for uv in a folder above ours are nobody's here", async () => {
      const machine = aMachine();
      makeWheel(machine.packages, "base", "1");
      writeFileSync(join(machine.folder, "../uv.toml"), '[pip]\nno-binary = [":all:"]\n');
      expect((await machine.environments.prepare(request(["base"]))).lock).toBe("base==1");
    });

    test("a full disk is told as that", async (context) => {
      const small = await smallDisk(context, 1024);
      const machine = aMachine();
      makeWheel(machine.packages, "big", "1", { files: { "big.bin": Buffer.alloc(3_000_000, 7) } });
      const { createUvEnvironments } = await import("../../src/environments/uv-environments.ts");
      const environments = createUvEnvironments({
        folder: join(small, "environments"),
        toolsFolder: join(small, "tools"),
        environment: machine.variables,
        startupPth,
      });
      await expect(environments.prepare(request(["big"]))).rejects.toMatchObject({ code: "disk-full" });
      expect(keysIn(join(small, "environments"))).toEqual([]);
    });
  },
);

describe.skipIf(!hasUv)("the wanted Python", () => {
  test("when it is not on the machine a warning names the one that is used, and strict refuses", async () => {
    const { environments } = aMachine();
    const wanted = request([], { python: "3.99" });
    await expect(environments.prepare(wanted, { strict: true })).rejects.toMatchObject({
      code: "python-missing",
      message: expect.stringMatching(/^Python 3\.99 is not on this machine.*forbids it\)\.$/),
    });
    const made = await environments.prepare(wanted);
    expect(made.warnings).toEqual([
      expect.stringMatching(
        new RegExp(`Python 3\\.99 is not.*; Python ${made.pythonVersion} \\(.*\\) is used instead\\.$`),
      ),
    ]);
    expect(environments.find(wanted)?.warnings).toEqual(made.warnings);
    await expect(environments.prepare(wanted, { strict: true })).rejects.toMatchObject({
      code: "python-missing",
    });
  });

  test("one that uv can't fetch either is said to be so, with uv's reason, and the attempt is shown", async () => {
    const { environments } = aMachine({ UV_PYTHON_DOWNLOADS: "automatic" });
    const output: string[] = [];
    const made = await environments.prepare(request([], { python: "3.99" }), {
      onOutput: (text) => output.push(text),
    });
    expect(made.warnings[0]).toMatch(/could not be fetched \(.*3\.99.*\)/);
    expect(output.join("")).toContain("Fetching Python 3.99, which is not on this machine");
  });

  test("the one that is there is used without a warning, by its minor version or its full one", async () => {
    const { environments } = aMachine();
    const any = await environments.prepare(request([]));
    const [major, minor] = any.pythonVersion.split(".");
    for (const version of [`${major}.${minor}`, any.pythonVersion]) {
      const made = await environments.prepare(request([], { python: version }), { strict: true });
      expect(made).toMatchObject({ pythonVersion: any.pythonVersion, warnings: [], key: any.key });
    }
  });

  test("without any Python on the machine nothing can be built, and that is said", async () => {
    const { environments } = aMachine({ PATH: temporaryFolder("empty") });
    await expect(environments.prepare(request([]))).rejects.toMatchObject({ code: "python-missing" });
  });
});

describe.skipIf(!hasUv)("sweeping", () => {
  const long = new Date("2001-01-01");

  async function threeEnvironments(): Promise<{
    machine: ReturnType<typeof aMachine>;
    made: readonly Environment[];
  }> {
    const machine = aMachine();
    const made: Environment[] = [];
    for (const text of ["# a\n", "# b\n", "# c\n"]) {
      made.push(await machine.environments.prepare(request([], { requirementsFile: text })));
    }
    await settled(machine.folder);
    for (const { folder } of made) utimesSync(join(folder, "environment.json"), long, long);
    return { machine, made };
  }

  test("what is kept or was used lately stays, the rest goes with its log", async () => {
    const { machine, made } = await threeEnvironments();
    const [kept, used, idle] = made as [Environment, Environment, Environment];
    machine.environments.find(request([], { requirementsFile: "# b\n" }));
    const gone = await machine.environments.sweep({
      keep: new Set([kept.key]),
      unusedSince: new Date(Date.now() - 60_000),
    });
    expect(gone.map(({ key }) => key)).toEqual([idle.key]);
    expect(gone[0]?.bytes).toBeGreaterThan(0);
    expect([...keysIn(machine.folder)].sort()).toEqual([kept.key, used.key].sort());
    expect(existsSync(join(machine.folder, "logs", `${idle.key}.log`))).toBe(false);
    expect(await python(used, "print(1)")).toBe("1");
  });

  test("what killed builds and sweeps left behind goes, what is being built stays", async () => {
    const { machine, made } = await threeEnvironments();
    const [one, two] = made as [Environment, Environment, Environment];
    for (const name of [`.unfinished-${one.key}-abc`, `.swept-${two.key}-def`]) {
      mkdirSync(join(machine.folder, name, "environment"), { recursive: true });
    }
    const { tryLock } = await import("../../src/lib/process-lock.ts");
    const building = tryLock(join(machine.folder, "locks", one.key));
    const everything = { keep: new Set<string>(), unusedSince: new Date() };
    await machine.environments.sweep(everything);
    expect(readdirSync(machine.folder).filter((name) => name.startsWith("."))).toEqual([
      `.unfinished-${one.key}-abc`,
    ]);
    expect(keysIn(machine.folder)).toEqual([one.key]);
    building?.release();
    await machine.environments.sweep(everything);
    expect(readdirSync(machine.folder).sort()).toEqual(["locks", "logs", "pythons"]);
    expect(await machine.environments.list()).toEqual([]);
  });
});
