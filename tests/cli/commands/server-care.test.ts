import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Failure } from "../../../src/core/failure.ts";
import { SecretValue } from "../../../src/core/secret-value.ts";
import { createRemoteMachine } from "../../../src/http/remote-server.ts";
import type {
  NewToken,
  ServerAdmin,
  ServerMachine,
  WantedLogin,
  WantedUnit,
} from "../../../src/operations/server-admin.ts";
import type { AccessToken } from "../../../src/ports/access-store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { type Parts, run, startOfTime, type TerminalOptions } from "../support/terminal.ts";

const token: AccessToken = {
  id: "1f0c93ab",
  name: "ci",
  scopes: ["deploy"],
  createdAt: "2026-11-23T12:00:00.000Z",
  expiresAt: new Date(startOfTime + 1_000).toISOString(),
  lastUsedAt: undefined,
};

const admin = (given: Partial<ServerAdmin>): Parts => ({
  wiring: { serverAdmin: async () => given as ServerAdmin },
});

describe("server token", () => {
  const created: NewToken[] = [];
  const creating = admin({
    async createToken(wanted) {
      created.push(wanted);
      const { name, scopes } = wanted;
      return { record: { ...token, name, scopes }, token: new SecretValue("bw_secret") };
    },
  });

  test("create prints the token alone on standard output, and what it is good for beside it", async () => {
    const { exitCode, stdout, stderr } = await run("server token create ci", creating);
    expect([exitCode, stdout]).toEqual([0, "bw_secret\n"]);
    expect(stderr).toContain(
      "Token 1f0c93ab of deploy expires 2026-11-23 19:05:13+00:00. It is not shown again:\n",
    );
    expect(stderr).not.toContain("bw_secret");
    const json = await run("server token create ci --output json", creating);
    expect(JSON.parse(json.stdout)).toMatchObject({ id: "1f0c93ab", token: "bw_secret" });
  });

  test("create hands on scopes and expiry", async () => {
    created.length = 0;
    for (const options of [
      "",
      "--scope read --expires 12h",
      "--scope admin --secrets-read --expires never",
    ]) {
      expect((await run(`server token create ci ${options}`, creating)).exitCode).toBe(0);
    }
    expect(created).toEqual([
      { name: "ci", scopes: ["deploy"], expiresInSeconds: 90 * 86_400 },
      { name: "ci", scopes: ["read"], expiresInSeconds: 12 * 3_600 },
      { name: "ci", scopes: ["admin", "secrets:read"], expiresInSeconds: undefined },
    ]);
    for (const expires of ["0d", "30", "d", "-1d", "1w", "1.5h", "forever"]) {
      expect((await run(`server token create ci --expires=${expires}`, creating)).exitCode, expires).toBe(2);
    }
    expect(created).toHaveLength(3);
  });

  test("list shows all but what they are", async () => {
    const expired = { ...token, id: "0badcafe", expiresAt: "2026-11-20T00:00:00.000Z" };
    const never = { ...token, id: "00c0ffee", expiresAt: undefined, lastUsedAt: "2026-11-22T01:02:03.000Z" };
    const { stdout } = await run("server token list", admin({ tokens: async () => [token, expired, never] }));
    const rows = stdout.split("\n").slice(1, 4);
    expect(rows.map((row) => row.split(/ {2,}/).slice(-2))).toEqual([
      ["2026-11-23 19:05:13+00:00", "never"],
      ["2026-11-20 00:00:00+00:00 (expired)", "never"],
      ["never", "2026-11-22 01:02:03+00:00"],
    ]);
    expect(stdout.split("\n")[0]).toMatch(/Expires +Last Used$/);
    const none = await run("server token list", admin({ tokens: async () => [] }));
    expect(none).toMatchObject({ exitCode: 0, stdout: "No tokens found\n" });
  });

  test("revoke fails when there is none of that id", async () => {
    const revoking = admin({ revokeToken: async (id) => ({ found: id === token.id }) });
    expect(await run("server token revoke 1f0c93ab", revoking)).toMatchObject({
      exitCode: 0,
      stdout: "Token 1f0c93ab is revoked.\n",
    });
    expect(await run("server token revoke x", revoking)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("There is no token x."),
    });
  });
});

describe("server", () => {
  test("audit shows the newest entries", async () => {
    const asked: number[] = [];
    const entry = { at: token.createdAt, who: "ci", from: "::1", what: "deploy", on: "x", result: "done" };
    const parts = admin({
      async audit({ limit }) {
        asked.push(limit);
        return limit === 0 ? [] : [entry];
      },
    });
    expect((await run("server audit", parts)).stdout.split("\n")[1]?.split(/ {2,}/)).toEqual([
      ...["2026-11-23 12:00:00+00:00", "ci", "::1", "deploy", "x", "done"],
    ]);
    expect((await run("server audit --limit 0", parts)).stdout).toBe("No entries found\n");
    expect(asked).toEqual([100, 0]);
  });

  test("backup writes a new file, and says what else to keep", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "a.db");
    const backing = admin({
      async *backup() {
        yield Buffer.from("store");
      },
    });
    const { exitCode, stdout, stderr } = await run(["server", "backup", file], backing);
    expect([exitCode, stdout]).toEqual([0, `Backed up to ${file}\n`]);
    expect(stderr).toContain("master key");
    expect(readFileSync(file, "utf8")).toBe("store");
    writeFileSync(file, "mine");
    expect(await run(["server", "backup", file], backing)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(`There is a file ${file} already.`),
    });
    expect(readFileSync(file, "utf8")).toBe("mine");
    const nowhere = join(folder, "no", "b.db");
    expect(await run(["server", "backup", nowhere], backing)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining(`Cannot write ${nowhere}: there is no folder ${join(folder, "no")}.\n`),
    });
    expect(existsSync(join(folder, "no"))).toBe(false);
  });

  test("a backup that is cut is no file", async () => {
    const file = join(temporaryFolder(), "a.db");
    const cut = admin({
      async *backup() {
        yield Buffer.from("st");
        throw new Failure("server-unreachable", "The connection was lost.");
      },
    });
    expect((await run(["server", "backup", file], cut)).exitCode).toBe(1);
    expect(existsSync(file)).toBe(false);
  });

  const restoring = (done: string[], machine: Partial<ServerMachine> = {}): Parts => ({
    server: {
      async stop({ services }) {
        done.push(`stop ${services}`);
        return {} as never;
      },
    },
    wiring: {
      serverMachine: async () => ({
        installUnit: () => Promise.reject(new Error("not asked for")),
        inspectBackup: async () => ({ missingKeys: [] }),
        async restore(backup) {
          done.push(`restore ${backup}`);
          return { replaced: undefined };
        },
        ...machine,
      }),
    },
  });

  test("restore stops the server first, and only when it is meant", async () => {
    const done: string[] = [];
    const restore = (line: string, options: TerminalOptions = {}) =>
      run(`server restore a.db ${line}`, restoring(done), options);
    expect((await restore("")).exitCode).toBe(2);
    expect((await restore("", { answers: ["n"] })).exitCode).toBe(1);
    expect(done).toEqual([]);
    const yes = await restore("--yes");
    expect(yes).toMatchObject({ exitCode: 0, stdout: "Restored from /home/me/a.db\n" });
    expect((await restore("", { answers: ["y"] })).exitCode).toBe(0);
    expect(done).toEqual(Array(2).fill(["stop false", "restore /home/me/a.db"]).flat());
    const kept = { restore: async () => ({ replaced: "/h/store.db.replaced" }) };
    const { stderr } = await run("server restore a.db --yes", restoring([], kept));
    expect(stderr).toContain("kept in /h/store.db.replaced");
  });

  test("restore says before it does anything that secrets of the backup can't be read with the keys there are", async () => {
    const done: string[] = [];
    const parts = restoring(done, { inspectBackup: async () => ({ missingKeys: ["0badcafe"] }) });
    const refused = await run("server restore a.db", parts, { answers: ["n"] });
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain(
      "Warning: The secrets in /home/me/a.db can't be read here: they were sealed with the master key 0badcafe,",
    );
    expect(refused.stderr).toContain("as keys/master.key.0badcafe in the home folder");
    expect(done).toEqual([]);
    expect((await run("server restore a.db --yes", parts)).stderr).toContain("master key 0badcafe");
    expect(done).toHaveLength(2);
  });

  test("a backup that can't be restored stops no server, here or on another machine", async () => {
    const done: string[] = [];
    const damaged = { inspectBackup: () => Promise.reject(new Failure("store-damaged", "It is no backup.")) };
    expect(await run("server restore a.db --yes", restoring(done, damaged))).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("It is no backup."),
    });
    const remote = restoring(done, createRemoteMachine("https://bodywork.test"));
    expect(await run("server restore a.db --yes", remote)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("is on another machine: it is restored there."),
    });
    expect(done).toEqual([]);
  });

  test("rotate-key says how many it sealed, and where the former key is kept", async () => {
    const formerKeyFile = "/h/keys/master.key.0badcafe";
    const rotated = (secrets: number) =>
      run("server rotate-key", admin({ rotateKey: async () => ({ secrets, formerKeyFile }) }));
    const one = await rotated(1);
    expect(one.stdout).toBe("Sealed 1 version of secrets with a new key.\n");
    expect(one.stderr).toContain(`The former key is kept in ${formerKeyFile}, for backups from before.`);
    expect((await rotated(12)).stdout).toBe("Sealed 12 versions of secrets with a new key.\n");
  });

  test("install says what to run next; with --print it prints the unit alone", async () => {
    const asked: WantedUnit[] = [];
    const parts: Parts = {
      wiring: {
        serverMachine: async () => ({
          restore: () => Promise.reject(new Error("not asked for")),
          inspectBackup: () => Promise.reject(new Error("not asked for")),
          async installUnit(wanted) {
            asked.push(wanted);
            return { file: "/u/bodywork.service", text: "[Unit]\n", written: !wanted.printOnly };
          },
        }),
      },
    };
    const user = await run("server install", parts);
    expect(user).toMatchObject({ exitCode: 0, stdout: "Wrote /u/bodywork.service\n" });
    expect(user.stderr).toContain("systemctl --user enable --now bodywork\n");
    expect(user.stderr).toContain("loginctl enable-linger");
    const printed = await run("server install --system --print --force --listen-api 127.0.0.1:8440", parts);
    expect(printed).toMatchObject({ stdout: "[Unit]\n", stderr: "" });
    expect(asked).toEqual([
      { scope: "user", listenApi: undefined, force: false, printOnly: false },
      { scope: "system", listenApi: "127.0.0.1:8440", force: true, printOnly: true },
    ]);
    expect((await run("server install --user --system", parts)).exitCode).toBe(2);
  });
});

describe("login", () => {
  const asked: (Omit<WantedLogin, "token"> & { readonly token: string })[] = [];
  const parts = (url?: string): Parts => ({
    wiring: {
      use: () => {},
      logins: async () => ({
        async login({ token: given, ...wanted }) {
          asked.push({ ...wanted, token: given.reveal() });
          return { url: wanted.url, version: "4.1.0" };
        },
        logout: async () => url,
      }),
    },
  });

  test("takes the token from standard input, the command line, or a person who types it unseen", async () => {
    asked.length = 0;
    const said = await run("login https://a.test --token-stdin", parts(), { input: "bw_a\n" });
    expect(said).toMatchObject({
      exitCode: 0,
      stdout: "Commands go to https://a.test from now on (Bodywork 4.1.0).\n",
    });
    await run("login https://a.test --token bw_b --ca-file ca.pem --insecure-http", parts());
    const typed = await run("login https://a.test", parts(), { answers: ["bw_c"] });
    expect(typed.asked).toEqual(["Token: (hidden)"]);
    const plain = { url: "https://a.test", caFile: undefined, insecureHttp: false };
    expect(asked).toEqual([
      { ...plain, token: "bw_a" },
      { ...plain, token: "bw_b", caFile: "/home/me/ca.pem", insecureHttp: true },
      { ...plain, token: "bw_c" },
    ]);
    expect([said, typed].map(({ stdout, stderr }) => stdout + stderr).join("")).not.toContain("bw_");
  });

  test("without a token, or with two, it is wrong usage", async () => {
    asked.length = 0;
    expect((await run("login https://a.test", parts())).exitCode).toBe(2);
    expect((await run("login https://a.test --token-stdin", parts(), { input: "\n" })).exitCode).toBe(2);
    expect(
      (await run("login https://a.test --token x --token-stdin", parts(), { input: "y" })).exitCode,
    ).toBe(2);
    expect(asked).toEqual([]);
  });

  test("logout says what it forgot", async () => {
    expect((await run("logout", parts("https://a.test"))).stdout).toBe("Logged out of https://a.test\n");
    expect(await run("logout", parts())).toMatchObject({ exitCode: 0, stdout: "Not logged in\n" });
  });
});
