import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  type HostsEntry,
  renderHosts,
  writeHosts,
  writePrivateHosts,
} from "../../../../src/engines/local/name-hook/hosts-file.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const stage3: HostsEntry = { address: "127.71.0.3", names: ["stage-3", "stage-3.ns"], ports: { 5000: 5000 } };
const stage4: HostsEntry = { address: "127.0.0.1", names: ["stage-4"], ports: { 5000: 41234, 6000: 6000 } };

test("The hosts file has a line a service, with the ports that are others in truth", () => {
  expect(renderHosts([stage3, { address: "127.71.0.9", names: [] }, stage4])).toBe(
    "127.71.0.3 stage-3 stage-3.ns\n127.0.0.1 stage-4 # ports 5000=41234\n",
  );
  expect(renderHosts([])).toBe("");
});

test("A hosts file that says the same already is not written again", () => {
  const file = join(temporaryFolder(), "ns.hosts");
  writeHosts(file, [stage3]);
  const { ino } = statSync(file);
  writeHosts(file, [stage3]);
  expect(statSync(file).ino).toBe(ino);
  writeHosts(file, [stage4]);
  expect(statSync(file).ino).not.toBe(ino);
  expect(readFileSync(file, "utf8")).toBe(renderHosts([stage4]));
});

describe("the private hosts file", () => {
  test("has our names first, then those of the machine", () => {
    const { file, machine } = folderWithMachineHosts("127.0.0.1 localhost\n10.0.0.7 database\n");
    writePrivateHosts(file, [stage3], machine);
    expect(readFileSync(file, "utf8")).toBe(
      "127.71.0.3 stage-3 stage-3.ns\n127.0.0.1 localhost\n10.0.0.7 database\n",
    );
  });

  test("stays the same file when it changes, for a mounted one is followed by no other", () => {
    const { file, machine } = folderWithMachineHosts("127.0.0.1 localhost\n");
    writePrivateHosts(file, [stage3, stage4], machine);
    const { ino } = statSync(file);
    writePrivateHosts(file, [stage4], machine);
    expect(readFileSync(file, "utf8")).toBe(`${renderHosts([stage4])}127.0.0.1 localhost\n`);
    writePrivateHosts(file, [stage3, stage4], machine);
    expect(readFileSync(file, "utf8")).toBe(`${renderHosts([stage3, stage4])}127.0.0.1 localhost\n`);
    expect(statSync(file).ino).toBe(ino);
  });

  test("holds our names alone when the machine's file can't be read", () => {
    const { file } = folderWithMachineHosts("");
    writePrivateHosts(file, [stage3], join(file, "nowhere"));
    expect(readFileSync(file, "utf8")).toBe(renderHosts([stage3]));
  });
});

function folderWithMachineHosts(text: string): { file: string; machine: string } {
  const folder = temporaryFolder();
  const machine = join(folder, "machine-hosts");
  writeFileSync(machine, text);
  return { file: join(folder, "hosts"), machine };
}
