import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, test } from "vitest";
import {
  installNameHook,
  nameHookVariables,
  noProxyNames,
  startupPth,
} from "../../../../src/engines/local/name-hook/name-hook.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

describe("the hook's files", () => {
  test("are put into one folder that is named by their content, and used again", () => {
    const folder = temporaryFolder();
    const hook = installNameHook(folder);
    expect(readdirSync(dirname(hook)).sort()).toEqual(["bodywork_hook.py", "bodywork_sockets.py"]);
    const old = new Date("2026-01-01T00:00:00Z");
    utimesSync(hook, old, old);
    expect(installNameHook(folder)).toBe(hook);
    expect(statSync(hook).mtime).toEqual(old);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  test("are mended when somebody has changed them", () => {
    const folder = temporaryFolder();
    const hook = installNameHook(folder);
    const whole = readFileSync(hook, "utf8");
    writeFileSync(hook, "raise SystemExit\n");
    installNameHook(folder);
    expect(readFileSync(hook, "utf8")).toBe(whole);
  });
});

test("The start-up file is one line that begins with import, as Python's site module demands", () => {
  expect(startupPth).toMatch(/^import [^\n]+\n$/);
});

test("The variables name the hook, the hosts file, and each port with its own address", () => {
  const options = { hook: "/hook/bodywork_hook.py", hostsFile: "/names/ns.hosts" };
  expect(nameHookVariables({ ...options, bind: [] })).toEqual({
    BODYWORK_STARTUP_HOOK: "/hook/bodywork_hook.py",
    BODYWORK_HOSTS: "/names/ns.hosts",
  });
  const bind = [
    { port: 5000, address: "127.71.0.3", addressPort: 5000 },
    { port: 6000, address: "127.0.0.1", addressPort: 41234 },
  ];
  expect(nameHookVariables({ ...options, bind }).BODYWORK_BIND).toBe(
    "5000=127.71.0.3:5000,6000=127.0.0.1:41234",
  );
});

describe("NO_PROXY", () => {
  test("keeps what the machine has and adds loopback and the services, each once", () => {
    expect(noProxyNames(" internal.test, localhost,", ["stage-4", "127.0.0.0/8"])).toBe(
      "internal.test,localhost,127.0.0.1,.svc.cluster.local,stage-4,127.0.0.0/8",
    );
    expect(noProxyNames(undefined, [])).toBe("localhost,127.0.0.1,.svc.cluster.local");
  });

  test("stays * when the machine has no proxy for anything", () => {
    expect(noProxyNames("internal.test,*", ["stage-4"])).toBe("*");
  });
});
