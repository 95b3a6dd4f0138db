import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

import { shellProof } from "../../../../src/engines/local/processes/shell-proof.ts";
import { runCommand } from "../../../../src/lib/run-command.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { path, text } from "./support.ts";

const shim = fileURLToPath(new URL("../../../../src/engines/local/processes/shim.sh", import.meta.url));

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
): Promise<{ exit: string; log: string }> {
  before(folder);
  const [program = "", ...options] = shell;
  const args = [...options, shim, "claim", "", umask, folder, ...command];
  await runCommand(program, args, { env: shellProof(env), cwd: folder });
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

  test.skipIf(absent)(`the shim runs nothing when the claim is taken in ${name}`, async () => {
    const { exit, log } = await runShim(shell, ["echo", "ran"], { PATH: path }, (folder) =>
      writeFileSync(join(folder, "claim"), ""),
    );
    expect({ exit, log }).toEqual({ exit: "", log: "" });
  });
}
