import { randomBytes } from "node:crypto";
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";

import { concealed } from "../../src/core/secret-value.ts";
import { masterKeyText, newMasterKey, parseMasterKey } from "../../src/secrets/master-key.ts";
import type { KeySources } from "../../src/secrets/open-secrets.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { keyFiles, keysFolder, openHome } from "./support/home.ts";

/** Opens a home folder, does something, and closes it. */
async function withHome<T>(
  home: string,
  sources: Partial<KeySources>,
  act: (opened: Awaited<ReturnType<typeof openHome>>) => T,
): Promise<T> {
  const opened = await openHome(home, openStore, sources);
  try {
    return act(opened);
  } finally {
    opened.store.close();
  }
}

const create = (name: string) => (opened: Awaited<ReturnType<typeof openHome>>) => {
  opened.secrets.create("prod", name, concealed({ KEY: `value of ${name}` }));
};
const read = (name: string) => (opened: Awaited<ReturnType<typeof openHome>>) =>
  opened.secrets.read("prod", name)?.KEY?.reveal();

describe("the key file", () => {
  test("is made once, for its owner alone", async () => {
    const home = temporaryFolder("home");
    const former = process.umask(0);
    try {
      await withHome(home, {}, create("db"));
    } finally {
      process.umask(former);
    }
    const file = join(keysFolder(home), "master.key");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(keysFolder(home)).mode & 0o777).toBe(0o700);
    const text = readFileSync(file, "utf8");
    expect(text).toMatch(/^[0-9a-f]{64}\n$/);
    expect(await withHome(home, {}, read("db"))).toBe("value of db");
    expect(readFileSync(file, "utf8")).toBe(text);
    expect(keyFiles(home)).toEqual(["master.key"]);
  });

  test.each([
    ["master.key", 0o640, "chmod 600"],
    ["master.key", 0o604, "chmod 600"],
    [".", 0o750, "chmod 700"],
  ] as const)("is refused when others may read %s (mode %o), with what to do", async (name, mode, mend) => {
    const home = temporaryFolder("home");
    await withHome(home, {}, create("db"));
    const path = join(keysFolder(home), name);
    chmodSync(path, mode);
    await expect(openHome(home, openStore)).rejects.toMatchObject({
      code: "home-unsafe",
      message: expect.stringContaining(`is open to other users (mode ${mode.toString(8)})`),
      hint: expect.stringContaining(`${mend} '${path}'`),
    });
    chmodSync(path, name === "." ? 0o700 : 0o600);
    expect(await withHome(home, {}, read("db"))).toBe("value of db");
  });

  test("is not made anew when it is gone: the secrets need the one that was there", async () => {
    const home = temporaryFolder("home");
    await withHome(home, {}, create("db"));
    const file = join(keysFolder(home), "master.key");
    const text = readFileSync(file, "utf8");
    rmSync(file);
    for (const act of [read("db"), create("other")]) {
      await expect(withHome(home, {}, act)).rejects.toMatchObject({
        code: "secret-key",
        message: expect.stringContaining(`is not in ${file}`),
      });
    }
    expect(keyFiles(home)).toEqual([]);
    writeFileSync(file, text, { mode: 0o600 });
    expect(await withHome(home, {}, read("db"))).toBe("value of db");
  });

  test("with another key stops reading and writing, but neither listing nor deleting", async () => {
    const home = temporaryFolder("home");
    await withHome(home, {}, create("db"));
    writeFileSync(join(keysFolder(home), "master.key"), masterKeyText(newMasterKey()));
    const wrong = { code: "secret-key", message: expect.stringContaining("were sealed with the master key") };
    await expect(withHome(home, {}, read("db"))).rejects.toMatchObject(wrong);
    await expect(withHome(home, {}, create("other"))).rejects.toMatchObject(wrong);
    expect(await withHome(home, {}, ({ store }) => store.secrets({}).length)).toBe(1);
    expect(await withHome(home, {}, ({ secrets }) => secrets.remove("prod", "db"))).toBe(true);
  });

  test.each(["", "swordfish", "00".repeat(31), "z".repeat(64)])("that holds %j is refused", async (text) => {
    const home = temporaryFolder("home");
    await withHome(home, {}, () => {});
    writeFileSync(join(keysFolder(home), "master.key"), text);
    const failed = await withHome(home, {}, create("db")).catch((error: unknown) => error);
    expect(failed).toMatchObject({
      code: "secret-key",
      hint: expect.stringContaining("openssl rand -hex 32"),
    });
    if (text !== "") expect(inspect(failed)).not.toContain(text);
  });
});

test("a lost key file may be brought back, or done without when all secrets are gone, without a restart", async () => {
  const home = temporaryFolder("home");
  await withHome(home, {}, create("db"));
  const file = join(keysFolder(home), "master.key");
  const text = readFileSync(file, "utf8");
  rmSync(file);
  await withHome(home, {}, (opened) => {
    expect(() => read("db")(opened)).toThrow(expect.objectContaining({ code: "secret-key" }));
    writeFileSync(file, text, { mode: 0o600 });
    expect(read("db")(opened)).toBe("value of db");
  });
  rmSync(file);
  await withHome(home, {}, (opened) => {
    opened.secrets.remove("prod", "db");
    opened.secrets.sweep([]);
    create("db")(opened);
    expect(read("db")(opened)).toBe("value of db");
  });
  expect(readFileSync(file, "utf8")).not.toBe(text);
});

describe("a key from elsewhere", () => {
  const bytes = randomBytes(32);
  const hex = bytes.toString("hex");

  test("is 64 hexadecimal digits, or 32 bytes in base64", () => {
    const { id } = parseMasterKey(hex, "x");
    expect(id).toMatch(/^[0-9a-f]{8}$/);
    for (const text of [
      hex.toUpperCase(),
      `${hex}\n`,
      bytes.toString("base64"),
      ` ${bytes.toString("base64")}\n`,
    ]) {
      expect(parseMasterKey(text, "x").id).toBe(id);
    }
  });

  test("refuses to be printed", () => {
    const key = parseMasterKey(hex, "x");
    const printed = `${inspect(key, { depth: 9 })} ${JSON.stringify(key)} ${key.key}`;
    expect(printed).not.toContain(hex);
    expect(printed).not.toContain(bytes.toString("base64"));
  });

  test("in BODYWORK_MASTER_KEY is used before the command's, and no file is made", async () => {
    const home = temporaryFolder("home");
    const command = [process.execPath, "-e", "console.log('11'.repeat(32))"];
    await withHome(home, { variable: hex, command }, create("db"));
    expect(await withHome(home, { variable: hex }, read("db"))).toBe("value of db");
    expect(() => keyFiles(home)).toThrow("ENOENT");
    await expect(withHome(home, { command }, read("db"))).rejects.toMatchObject({
      code: "secret-key",
      message: expect.stringContaining(`and that of the command ${process.execPath} is `),
    });
  });

  test("is what a command writes, with its arguments as they are and the environment that is given", async () => {
    const home = temporaryFolder("home");
    const program = "console.log(process.argv[1].length === 3 ? process.env.MY_KEY : 'no')";
    const sources = { command: [process.execPath, "-e", program, "; *"], environment: { MY_KEY: hex } };
    await withHome(home, sources, create("db"));
    expect(await withHome(home, { variable: hex }, read("db"))).toBe("value of db");
  });

  test("that its command does not give stops what needs it, and shows no output but errors", async () => {
    const home = temporaryFolder("home");
    const program = `console.log("${hex}"); console.error("vault is sealed"); process.exitCode = 3`;
    const sources = { command: [process.execPath, "-e", program] };
    const failed = await withHome(home, sources, create("db")).catch((error: unknown) => error);
    expect(failed).toMatchObject({
      code: "secret-key",
      message: expect.stringContaining("it ended with 3"),
      details: ["vault is sealed"],
    });
    expect(inspect(failed)).not.toContain(hex);
    await expect(withHome(home, { command: ["/no/such/program"] }, create("db"))).rejects.toMatchObject({
      message: expect.stringContaining("ENOENT"),
    });
    await withHome(home, { command: ["/no/such/program"] }, ({ store }) => store.secrets({}));
  });

  test("takes the place of the former one, whose secrets it seals anew, when that is given too", async () => {
    const home = temporaryFolder("home");
    await withHome(home, {}, create("db"));
    const former = readFileSync(join(keysFolder(home), "master.key"), "utf8");
    await withHome(home, { variable: hex, previousVariable: former }, create("other"));
    expect(await withHome(home, { variable: hex }, read("db"))).toBe("value of db");
    // And back into a file, which is made anew.
    rmSync(join(keysFolder(home), "master.key"));
    await withHome(home, { previousVariable: hex }, create("third"));
    expect(await withHome(home, {}, read("db"))).toBe("value of db");
    expect(await withHome(home, {}, read("other"))).toBe("value of other");
  });

  test("is not rotated by us, who can't write it where it is from", async () => {
    const home = temporaryFolder("home");
    await withHome(home, { variable: hex }, ({ rotateKey }) => {
      expect(rotateKey).toThrow(
        expect.objectContaining({
          code: "usage",
          hint: expect.stringContaining("BODYWORK_PREVIOUS_MASTER_KEY"),
        }),
      );
    });
  });
});
