import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseSettings } from "../../src/core/settings.ts";
import { createServerMachine } from "../../src/http/server-machine.ts";
import { unitText } from "../../src/http/systemd-unit.ts";
import { tryLock } from "../../src/lib/process-lock.ts";
import type { WantedUnit } from "../../src/operations/server-admin.ts";
import { temporaryFolder } from "../support/temporary.ts";

const wanted: WantedUnit = { scope: "user", listenApi: undefined, force: false, printOnly: false };

function machine(home: string, units: string, restored: string[] = []) {
  return createServerMachine({
    home,
    command: [process.execPath, "/opt/bodywork/dist/main.js", "server", "run"],
    path: "/usr/local/bin:/usr/bin:/bin",
    unitFolder: { user: join(units, "user"), system: join(units, "system") },
    api: async () => parseSettings("", "settings.yaml").api,
    inspectBackup: async (backup) => ({ missingKeys: [`key of ${backup}`] }),
    async restoreStore(backup) {
      restored.push(backup);
      return "store.db.replaced";
    },
  });
}

test("the unit starts the server with the machine, starts it again, and leaves its services alone", async () => {
  const [home, units] = [temporaryFolder("home"), temporaryFolder("units")];
  const { file, text, written } = await machine(home, units).installUnit(wanted);
  expect([file, written]).toEqual([join(units, "user", "bodywork.service"), true]);
  expect(readFileSync(file, "utf8")).toBe(text);
  expect(statSync(file).mode & 0o777).toBe(0o644);
  for (const line of [
    `Environment="BODYWORK_HOME=${home}"`,
    'Environment="PATH=/usr/local/bin:/usr/bin:/bin"',
    `ExecStart="${process.execPath}" "/opt/bodywork/dist/main.js" "server" "run"`,
    "Restart=always",
    "KillMode=process",
    "OOMPolicy=continue",
    "WantedBy=default.target",
  ]) {
    expect(text.split("\n")).toContain(line);
  }
  expect(text).not.toContain("User=");
  const system = await machine(home, units).installUnit({ ...wanted, scope: "system" });
  expect(system.text).toContain(`\nUser=${statSync(home).uid}\n`);
  expect(system.text).toContain("\nWantedBy=multi-user.target\n");
});

test("the same unit is left as it is, another one is replaced only when that is said to be meant", async () => {
  const [home, units] = [temporaryFolder("home"), temporaryFolder("units")];
  const { installUnit } = machine(home, units);
  const { file, text } = await installUnit(wanted);
  expect((await installUnit(wanted)).written).toBe(false);
  writeFileSync(file, "somebody's own");
  await expect(installUnit(wanted)).rejects.toMatchObject({ code: "already-exists" });
  expect(readFileSync(file, "utf8")).toBe("somebody's own");
  expect((await installUnit({ ...wanted, printOnly: true })).written).toBe(false);
  expect((await installUnit({ ...wanted, force: true })).written).toBe(true);
  expect(readFileSync(file, "utf8")).toBe(text);
  expect(readdirSync(join(units, "user"))).toEqual(["bodywork.service"]);
});

test("printing writes nothing; an address beyond this machine without TLS is refused at once", async () => {
  const [home, units] = [temporaryFolder("home"), temporaryFolder("units")];
  const { installUnit } = machine(home, units);
  const listening = { ...wanted, printOnly: true, listenApi: "127.0.0.1:8440" };
  expect((await installUnit(listening)).text).toContain('"server" "run" "--listen-api" "127.0.0.1:8440"\n');
  expect(existsSync(join(units, "user"))).toBe(false);
  await expect(installUnit({ ...listening, listenApi: "0.0.0.0:8440" })).rejects.toMatchObject({
    code: "usage",
  });
});

test.skipIf(process.getuid?.() === 0)("a folder that takes another user's rights is told so", async () => {
  const [home, units] = [temporaryFolder("home"), temporaryFolder("units")];
  chmodSync(units, 0o500);
  await expect(machine(home, units).installUnit({ ...wanted, scope: "system" })).rejects.toMatchObject({
    code: "not-allowed",
  });
});

const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;
const strange = `/home/a b/100%/"q"\\back$HOME;x`;

/** What systemd has against a unit; nothing when it takes it. */
function complaints(text: string, scope: "user" | "system"): readonly string[] {
  const folder = temporaryFolder();
  const file = join(folder, "bodywork.service");
  writeFileSync(file, text);
  const { stderr } = spawnSync("systemd-analyze", ["verify", `--${scope}`, "--man=no", file], {
    encoding: "utf8",
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
  });
  return stderr.split("\n").filter((line) => line.includes("bodywork.service"));
}

test.skipIf(!hasSystemd)("systemd takes the unit, whatever characters its paths have", () => {
  for (const scope of ["user", "system"] as const) {
    for (const home of ["/home/me/.bodywork", strange]) {
      const command = [process.execPath, `${home}/main.js`, "server", "run"];
      const text = unitText({ scope, command, home, path: `/bin:${home}/bin`, user: 0 });
      expect(complaints(text, scope)).toEqual([]);
      expect(complaints(text.replace("always", "allways"), scope)).not.toEqual([]);
      expect(complaints(text.replace('ExecStart="', "ExecStart="), scope)).not.toEqual([]);
    }
  }
});

test("the words of a unit are quoted as systemd.syntax(7) has it", () => {
  const text = unitText({
    scope: "user",
    command: ["/bin/x", strange],
    home: strange,
    path: "/bin",
    user: 0,
  });
  expect(text).toContain(`ExecStart="/bin/x" "/home/a b/100%%/\\"q\\"\\\\back$$HOME;x"\n`);
  expect(text).toContain(`Environment="BODYWORK_HOME=/home/a b/100%%/\\"q\\"\\\\back$HOME;x"\n`);
});

test("a store is put back only while no server runs", async () => {
  const [home, restored] = [temporaryFolder("home"), [] as string[]];
  const { restore } = machine(home, temporaryFolder("units"), restored);
  expect(await restore("/backups/a.db")).toEqual({ replaced: "store.db.replaced" });
  const server = tryLock(join(home, "server.lock"));
  await expect(restore("/backups/b.db")).rejects.toMatchObject({ code: "already-exists" });
  server?.release();
  expect(restored).toEqual(["/backups/a.db"]);
  expect(readdirSync(home)).toEqual([]);
});
