import { expect, test } from "vitest";

import { memoryPlaces } from "../../../../src/engines/local/processes/memory-groups.ts";

test("with cgroup v1 memory groups go below our own", () => {
  const mounts = [
    "25 20 0:22 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu",
    "26 20 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
  ].join("\n");
  expect(memoryPlaces(mounts, "4:memory:/user/one\n3:cpu:/\n0::/\n")).toEqual([
    "/sys/fs/cgroup/memory/user/one",
  ]);
});

test("with cgroup v2 the groups above are candidates too, the nearest first", () => {
  const mounts = "26 20 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
  expect(memoryPlaces(mounts, "0::/system.slice/bodywork.service\n")).toEqual([
    "/sys/fs/cgroup/system.slice/bodywork.service",
    "/sys/fs/cgroup/system.slice",
    "/sys/fs/cgroup",
  ]);
});

test("in a container the mount begins in the middle of the tree", () => {
  const mounts = "26 20 0:23 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
  expect(memoryPlaces(mounts, "4:memory:/docker/abc/inner\n")).toEqual(["/sys/fs/cgroup/memory/inner"]);
});

test("a machine without memory cgroups has no place", () => {
  expect(memoryPlaces("20 1 8:1 / / rw - ext4 /dev/sda1 rw", "")).toEqual([]);
});
