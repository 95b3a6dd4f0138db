import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createLayout } from "../../../src/engines/local/layout.ts";
import { privateHostsAllowed } from "../../../src/engines/local/name-hook/private-hosts.ts";
import { createNames, type NamedService } from "../../../src/engines/local/names.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const predict: NamedService = {
  namespace: "ns",
  stage: "Stage_4",
  port: 5000,
  address: { host: "127.71.0.4", port: 5000 },
};
const moved: NamedService = {
  namespace: "other",
  stage: "serve",
  port: 5000,
  address: { host: "127.0.0.1", port: 41234 },
};

describe("the names of services", () => {
  test("are the bare one inside their namespace, and the long ones everywhere", () => {
    const { names, hostsOf } = namesForTest();
    names.publish([predict, moved]);
    expect(hostsOf("ns")).toEqual([
      "127.71.0.4 stage-4 stage-4.ns stage-4.ns.svc stage-4.ns.svc.cluster.local",
      "127.0.0.1 serve.other serve.other.svc serve.other.svc.cluster.local # ports 5000=41234",
    ]);
    expect(hostsOf("other")).toEqual([
      "127.71.0.4 stage-4.ns stage-4.ns.svc stage-4.ns.svc.cluster.local",
      "127.0.0.1 serve serve.other serve.other.svc serve.other.svc.cluster.local # ports 5000=41234",
    ]);
  });

  test("are there for a namespace that has no service of its own", () => {
    const { names, hostsOf } = namesForTest();
    names.publish([predict]);
    const { BODYWORK_HOSTS } = names.variables("batch-only", undefined);
    expect(linesOf(BODYWORK_HOSTS as string)).toEqual([
      "127.71.0.4 stage-4.ns stage-4.ns.svc stage-4.ns.svc.cluster.local",
    ]);
    names.publish([]);
    expect(hostsOf("batch-only")).toEqual([]);
  });

  test("go with the last service, also those that an earlier server wrote", () => {
    const { names, home, hostsOf } = namesForTest();
    names.publish([predict, moved]);
    const next = createNames(createLayout(home), {});
    next.publish([moved]);
    expect(hostsOf("ns")).toEqual([]);
    expect(readFileSync(join(home, "names", "ns.hosts.etc"), "utf8")).not.toContain("stage-4");
    expect(hostsOf("other")).toHaveLength(1);
  });

  test("may be none at all in a new home folder", () => {
    expect(() => namesForTest().names.publish([])).not.toThrow();
  });

  test("leave localhost to the machine", () => {
    const { names, hostsOf } = namesForTest();
    names.publish([{ ...predict, stage: "localhost" }]);
    expect(hostsOf("ns")).toEqual([
      "127.71.0.4 localhost.ns localhost.ns.svc localhost.ns.svc.cluster.local",
    ]);
  });
});

describe("the variables of a process", () => {
  test("give a service its own address, by the hook and by HOST and PORT", () => {
    const { names } = namesForTest();
    const variables = names.variables("ns", { port: 5000, address: { host: "127.71.9.9", port: 5000 } });
    expect(variables).toMatchObject({
      HOST: "127.71.9.9",
      PORT: "5000",
      BODYWORK_BIND: "5000=127.71.9.9:5000",
    });
  });

  test("bind nothing in a batch stage", () => {
    const variables = namesForTest().names.variables("ns", undefined);
    expect(Object.keys(variables).sort()).toEqual([
      ...["BODYWORK_HOSTS", "BODYWORK_STARTUP_HOOK", "NO_PROXY", "no_proxy"],
    ]);
  });

  test("keep every service out of the machine's proxy, and what the machine keeps out of it", () => {
    const { names } = namesForTest({ no_proxy: "internal.test" });
    names.publish([predict]);
    const { NO_PROXY, no_proxy } = names.variables("ns", undefined);
    expect(NO_PROXY).toBe(no_proxy);
    expect(NO_PROXY?.split(",")).toEqual(
      expect.arrayContaining(["internal.test", "stage-4", "stage-4.ns", "127.0.0.0/8", "localhost"]),
    );
  });
});

describe("the private hosts file of a process", () => {
  test("is mounted for every service, and for a batch stage when there is a name in it", async () => {
    const { names, home } = namesForTest();
    const allowed = await privateHostsAllowed();
    const file = join(home, "names", "ns.hosts.etc");
    expect(await names.privateHostsPrefix("ns", "batch")).toEqual([]);
    expect((await names.privateHostsPrefix("ns", "service")).includes(file)).toBe(allowed);
    names.publish([predict]);
    expect((await names.privateHostsPrefix("ns", "batch")).includes(file)).toBe(allowed);
    expect(linesOf(file)[0]).toBe(
      "127.71.0.4 stage-4 stage-4.ns stage-4.ns.svc stage-4.ns.svc.cluster.local",
    );
  });
});

function namesForTest(machine: Readonly<Record<string, string>> = {}) {
  const home = join(temporaryFolder(), "home");
  const layout = createLayout(home);
  return {
    home,
    names: createNames(layout, machine),
    hostsOf: (namespace: string) => linesOf(layout.hostsFile(namespace)),
  };
}

function linesOf(file: string): readonly string[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "");
}
