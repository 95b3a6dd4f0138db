import { expect, test } from "vitest";
import { type DoctorFacts, diagnose } from "../../src/core/doctor.ts";
import { healthy } from "../support/doctor-facts.ts";

const { clock, cluster, ingress, server } = healthy;
const disk = { folder: "/h", totalBytes: 2 ** 40 };
const file = { path: "/h/keys", mode: 0o700, isOurs: true, isPrivate: true };
const gibibyte = 1024 ** 3;

function found(change: Partial<DoctorFacts>, what: string): string {
  const finding = diagnose({ ...healthy, ...change }).find((one) => one.what.startsWith(what));
  if (finding === undefined) throw new Error(`nothing is said of ${what}`);
  return [finding.level, finding.found, finding.advice].filter((part) => part !== undefined).join(" | ");
}

test("a healthy machine has a line for each thing that was looked at, and nothing else than ok", () => {
  const findings = diagnose(healthy);
  expect(findings.map(({ what }) => what.split(" ")[0])).toEqual([
    "git",
    "python",
    "uv",
    "disk",
    "ingress",
    "file",
    "clock",
    "settings",
    "engine",
    "server",
    "cluster",
    "store",
    "secrets",
    "logs",
  ]);
  expect(findings.filter(({ level }) => level !== "ok")).toEqual([]);
});

test("every warning and every problem says what to do", () => {
  const ill: DoctorFacts = {
    git: undefined,
    pythons: [],
    uv: { path: "/usr/bin/uv", version: "0.4.9" },
    disks: [{ ...disk, freeBytes: 0 }],
    ingress: { ...ingress, state: "taken" },
    files: [{ ...file, mode: 0o755 }],
    clock: { ...clock, now: 0 },
    settings: ["api.listen: must be HOST:PORT"],
    engine: { engine: "none", why: "CI is set", hint: "Give the job a kubeconfig." },
    server: { ...server, silentPid: 4711 },
    cluster: { ...cluster, unreadable: "/no/config" },
    store: { path: "/h/store.db", bytes: 1, damage: "no database" },
    secrets: { sealedWith: ["0f0f0f0f"], missing: ["0f0f0f0f"], failure: undefined },
    logs: [{ path: "/h/server.log", bytes: gibibyte }],
  };
  const findings = diagnose(ill);
  expect(findings.filter(({ level }) => level === "ok")).toEqual([]);
  expect(findings.filter(({ advice }) => advice === undefined)).toEqual([]);
});

test.each<[Partial<DoctorFacts>, string, RegExp]>([
  [{ git: "2.31.9" }, "git", /^problem \| 2\.31\.9, too old \| Install git 2\.32/],
  [{ git: "2.32.0.windows.1" }, "git", /^ok/],
  [{ git: "3.0" }, "git", /^ok/],
  [{ pythons: [] }, "python", /^problem \| not found/],
  [{ uv: undefined }, "uv", /^ok \| not found \| Nothing to do/],
  [{ uv: { path: "/b/uv", version: "0.4.30" } }, "uv", /^warning \| 0\.4\.30 \(\/b\/uv\), too old/],
  [
    { disks: [{ ...disk, freeBytes: 0.1 * gibibyte }] },
    "disk of /h",
    /^problem \| 102 MiB free of 1024\.0 GiB/,
  ],
  [{ disks: [{ ...disk, freeBytes: gibibyte }] }, "disk of /h", /^warning \| 1\.0 GiB free/],
  [{ ingress: { ...ingress, state: "ours" } }, "ingress", /^ok \| runs$/],
  [
    { ingress: { ...ingress, state: "ours", note: "Port taken." } },
    "ingress",
    /^warning \| Port taken\. \| .*--listen/,
  ],
  [{ ingress: { ...ingress, state: "refused" } }, "ingress", /^problem \| .*does not let/],
  [{ files: [file] }, "file modes", /^ok/],
  [
    { files: [{ ...file, mode: 0o750 }] },
    "mode of /h/keys",
    /^problem \| 0750: others can read \| chmod go-rwx/,
  ],
  [{ files: [{ ...file, mode: 0o755, isPrivate: false }] }, "file modes", /^ok/],
  [
    { files: [{ ...file, mode: 0o775, isPrivate: false }] },
    "mode of /h/keys",
    /^problem \| 0775: others can write/,
  ],
  [{ files: [{ ...file, isOurs: false }] }, "owner of /h/keys", /^problem \| another user \| chown/],
  [{ clock: { ...clock, diskSeconds: -30 } }, "clock", /^warning \| .* dated 30 s behind/],
  [{ clock: { ...clock, jumpSeconds: 3 } }, "clock", /^warning \| it jumped by 3\.0 s/],
  [
    { clock: { ...clock, futureSeconds: 3600 } },
    "clock",
    /^warning \| it was set back: .* 3600 s from the future/,
  ],
  [{ clock: { ...clock, isSynchronized: false } }, "clock", /^warning \| .*not synchronised/],
  [{ clock: { ...clock, isSynchronized: undefined } }, "clock", /^ok \| 2026-11-23T19:05:12\.000Z$/],
  [{ server: { ...server, version: "4.0.0", answeredAfter: 12.3 } }, "server", /^ok \| runs, .* in 12 ms$/],
  [
    { server: { ...server, version: "3.9.0" } },
    "server",
    /^warning \| runs, of version 3\.9\.0; this is 4\.0\.0/,
  ],
  [{ server: { ...server, silentPid: 4711 } }, "server", /^problem \| process 4711 does not answer/],
  [{ server: { ...server, failure: "No token." } }, "server", /^problem \| No token\.$/],
  [
    { server: { ...server, remote: "https://b.test", failure: "Refused." } },
    "server https://b.test",
    /^problem \| Refused\. \| .*--engine local/,
  ],
  [
    { server: { ...server, remote: "https://b.test", version: "3.0.0", answeredAfter: 80 } },
    "server https://b.test",
    /^ok \| runs, of version 3\.0\.0/,
  ],
  [
    { cluster: { ...cluster, unreadable: "/no/config" } },
    "cluster",
    /^warning \| KUBECONFIG is \/no\/config/,
  ],
  [{ settings: [] }, "settings", /^ok \| can be read$/],
  [
    { settings: ["Cannot use the settings.", "engine: no such one"] },
    "settings",
    /^problem \| Cannot use the settings\. engine: no such one \| Mend the file/,
  ],
  [
    { engine: { engine: "server", url: "https://b.test", why: "--server names it" } },
    "engine",
    /^ok \| the server https:\/\/b\.test: --server names it$/,
  ],
  [
    { engine: { engine: "kubernetes", why: "this runs inside a cluster" } },
    "engine",
    /^ok \| kubernetes: this runs inside a cluster$/,
  ],
  [
    { engine: { engine: "none", why: "CI is set", hint: "Give the job a kubeconfig." } },
    "engine",
    /^problem \| none can be chosen: CI is set \| Deployments are refused\. Give the job a kubeconfig\.$/,
  ],
  [
    { secrets: { sealedWith: ["0f0f0f0f"], missing: [], failure: undefined } },
    "secrets",
    /^ok \| sealed with the master key 0f0f0f0f, which is there$/,
  ],
  [
    { secrets: { sealedWith: ["0f0f0f0f"], missing: ["0f0f0f0f"], failure: undefined } },
    "secrets",
    /^problem \| .* 0f0f0f0f is not to be found \| Bring keys\/master\.key back/,
  ],
  [
    { secrets: { sealedWith: [], missing: [], failure: "The command failed." } },
    "secrets",
    /^problem \| The command failed\. \| /,
  ],
  [{ cluster: { ...cluster, kubeconfig: "/k" } }, "cluster", /^ok \| kubeconfig \/k; kubectl not found/],
  [
    {
      cluster: {
        ...cluster,
        kubeconfig: "/k",
        kubectl: "v1.34.0",
        answer: { reached: false, text: "refused" },
      },
    },
    "cluster",
    /^warning \| kubeconfig \/k; not reached: refused/,
  ],
  [
    {
      cluster: {
        ...cluster,
        kubeconfig: "/k",
        kubectl: "v1.34.0",
        answer: { reached: true, text: "Kubernetes v1.33.1" },
      },
    },
    "cluster",
    /^ok \| kubeconfig \/k; reached, Kubernetes v1\.33\.1/,
  ],
  [{ store: { path: "/h/s", bytes: 3 * 1024 ** 2, damage: undefined } }, "store", /^ok \| whole, 3 MiB$/],
  [
    { store: { path: "/h/s", bytes: 1, damage: "odd" } },
    "store",
    /^problem \| \/h\/s is damaged: odd \| .*restore/,
  ],
  [{ logs: [{ path: "/h/l", bytes: 1024 ** 2 }] }, "logs", /^ok \| 1 MiB$/],
  [{ logs: [{ path: "/h/l", bytes: gibibyte }] }, "logs", /^warning \| \/h\/l has 1\.0 GiB/],
])("%j", (change, what, expected) => {
  expect(found(change, what)).toMatch(expected);
});
