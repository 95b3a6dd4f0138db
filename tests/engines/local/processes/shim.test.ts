import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

import { type ProcessSecrets, withSecrets } from "../../../../src/engines/local/processes/process-secrets.ts";
import { runCommand } from "../../../../src/lib/run-command.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { path, text } from "./support.ts";

const shim = fileURLToPath(new URL("../../../../src/engines/local/processes/shim.sh", import.meta.url));

const masker = fileURLToPath(new URL("../../../../src/engines/local/mask_log.py", import.meta.url));

const keeper = fileURLToPath(
  new URL("../../../../src/engines/local/processes/keep-masking.sh", import.meta.url),
);

/** What /bin/sh is differs: dash on Debian, bash on Fedora and macOS, busybox on Alpine. */
const shells: readonly (readonly string[])[] = [
  ["/bin/dash"],
  ["/bin/bash", "--posix"],
  ["/bin/busybox", "sh"],
];

async function runShim(
  shell: readonly string[],
  command: readonly string[],
  env: Record<string, string> = { PATH: path },
  before: (folder: string) => void = () => {},
  umask = "",
  folder = temporaryFolder(),
  secrets: ProcessSecrets["values"] = {},
): Promise<{ exit: string; log: string }> {
  before(folder);
  const [program = "", ...options] = shell;
  const parts = { values: secrets, python: "python3", masker };
  const { variables, prefix } = withSecrets(env, Object.keys(secrets).length === 0 ? undefined : parts);
  const args = [...options, shim, "claim", "", umask, folder, ...prefix, ...command];
  await runCommand(program, args, { env: variables, cwd: folder });
  return { exit: text(join(folder, "exit")), log: text(join(folder, "log")) };
}

for (const shell of shells) {
  const name = shell.join(" ");
  const absent = !existsSync(shell[0] as string);

  test.skipIf(absent)(`the shim tells exits and signals apart in ${name}`, async () => {
    for (const [script, expected] of [
      ["exit 0", "exited 0"],
      ["exit 137", "exited 137"],
      ["kill -KILL $$", "signalled 137"],
      ["kill -SEGV $$", "signalled 139"],
      ["kill -TERM $$", "signalled 143"],
      ["kill -INT $$", "signalled 130"],
    ] as const) {
      expect((await runShim(shell, ["sh", "-c", script])).exit).toMatch(
        new RegExp(`^${expected} 0 [\\d.]+ \\.\\n$`),
      );
    }
  });

  test.skipIf(absent)(`the shim changes no variable in ${name}`, async () => {
    const environments: readonly Record<string, string>[] = [
      { PATH: path },
      {
        PATH: path,
        A: "1",
        "my-key": "2",
        PWD: "/x",
        SHLVL: "9",
        _: "u",
        IFS: ":",
        BASH_ENV: "/no",
        RANDOM: "5",
      },
      {
        PATH: path,
        status: "s",
        how: "h",
        HOME: "/h",
        TERM: "t",
        MAIL: "m",
        LD_X: "l",
        UID: "77",
        OPTIND: "3",
        PPID: "1",
      },
    ];
    for (const env of environments) {
      const { log } = await runShim(shell, ["/usr/bin/env", "-0"], env);
      const pairs = Object.entries(env).map((pair) => pair.join("="));
      expect(log.split("\0").filter(Boolean).sort()).toEqual(pairs.sort());
    }
  });

  test.skipIf(absent)(
    `the shim gives the command its umask, and its own files have another in ${name}`,
    async () => {
      const folder = temporaryFolder();
      const before = process.umask(0o077);
      try {
        const { log } = await runShim(
          shell,
          ["sh", "-c", "umask; >mine"],
          undefined,
          undefined,
          "022",
          folder,
        );
        expect(Number.parseInt(log, 8)).toBe(0o022);
      } finally {
        process.umask(before);
      }
      const modeOf = (file: string): number => statSync(join(folder, file)).mode & 0o777;
      expect(["mine", "log", "exit", "claim"].map(modeOf)).toEqual([0o644, 0o600, 0o600, 0o600]);
    },
  );

  test.skipIf(absent)(`the shim takes a program with "=" in its path in ${name}`, async () => {
    const folder = temporaryFolder("a=b");
    writeFileSync(join(folder, "program"), "#!/bin/sh\necho ran\n", { mode: 0o700 });
    const { log } = await runShim(shell, [join(folder, "program")], { PATH: path, "my-key": "1" });
    expect(log).toBe("ran\n");
  });

  test.skipIf(absent)(
    `how a program with secrets ends is told when its log has everything in ${name}`,
    async () => {
      for (const [script, expected] of [
        ["exit 0", "exited 0"],
        ["exit 137", "exited 137"],
        ["kill -KILL $$", "signalled 137"],
        ["kill -TERM $$", "signalled 143"],
        ["kill -INT $$", "signalled 130"],
        ["kill -PIPE $$", "signalled 141"],
      ] as const) {
        const command = ["sh", "-c", `(sleep 2; echo late) & seq 1 9000; echo "a $TOKEN b"; ${script}`];
        const folder = temporaryFolder();
        const secrets = { TOKEN: "the token" };
        const { exit, log } = await runShim(shell, command, undefined, undefined, "", folder, secrets);
        expect(exit).toMatch(new RegExp(`^${expected} 0 [\\d.]+ \\.\\n$`));
        expect(log.endsWith("\n9000\na *** b\n")).toBe(true);
        expect(readdirSync(folder).sort()).toEqual(["claim", "exit", "log", "words"]);
      }
    },
  );

  test.skipIf(absent)(
    `a program gets its secrets byte by byte, under whatever name, in ${name}`,
    async () => {
      const secrets = {
        PLAIN: "two\nlines $(id) `id` 'quoted' \"twice\" \\ \t € \u{1f511}\n",
        "my-key": "$HOME\n",
        "two words, and more": "with = and\r\n",
        IFS: ":::::",
        PWD: "elsewhere",
        LC_CTYPE: "POSIX",
        BASH_ENV: "no file",
        masked: "also ours",
        status: "none",
      };
      const program = "open('seen', 'wb').write(open('/proc/self/environ', 'rb').read())";
      const environments: readonly Record<string, string>[] = [
        { PATH: path },
        { PATH: path, PLAIN: "no secret", "other-key": "o", LC_CTYPE: "C.UTF-8" },
      ];
      for (const own of environments) {
        const folder = temporaryFolder();
        await runShim(shell, ["python3", "-c", program], own, undefined, "", folder, secrets);
        const expected = Object.entries({ ...own, ...secrets }).map((pair) => pair.join("="));
        expect(text(join(folder, "seen")).split("\0").filter(Boolean).sort()).toEqual(expected.sort());
      }
    },
  );

  test.skipIf(absent)(
    `a masker that is killed is started again, one that fails by itself is given up, in ${name}`,
    async () => {
      const folder = temporaryFolder();
      const [killed, failing] = [join(folder, "killed.py"), join(folder, "failing.py")];
      const first = "import os, sys\nif len(sys.argv) < 3: os.kill(os.getpid(), 9)\n";
      writeFileSync(killed, `${first}print(sys.argv[1:], sys.stdin.read())\n`);
      writeFileSync(failing, "raise SystemExit(1)\n");
      const keep = async (program: string): Promise<string> => {
        const script = `printf 'the text' | "$@" ${keeper} python3 ${program} A,B 3</dev/null`;
        const result = await runCommand("sh", ["-c", script, "sh", ...shell], { env: { PATH: path } });
        return result.stdout;
      };
      expect(await keep(killed)).toBe("['A,B', 'again'] the text\n");
      expect(await keep(failing)).toMatch(/^\n\[bodywork: the log ends here: .*\]\n$/);
    },
  );

  test.skipIf(absent)(`the shim runs nothing when the claim is taken in ${name}`, async () => {
    const { exit, log } = await runShim(shell, ["echo", "ran"], { PATH: path }, (folder) =>
      writeFileSync(join(folder, "claim"), ""),
    );
    expect({ exit, log }).toEqual({ exit: "", log: "" });
  });
}
