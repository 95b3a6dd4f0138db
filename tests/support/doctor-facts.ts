import type { DoctorFacts } from "../../src/core/doctor.ts";

const gibibyte = 1024 ** 3;

/** A machine on which all is well and nothing has been deployed. */
export const healthy: DoctorFacts = {
  git: "2.39.5",
  pythons: [{ path: "/usr/bin/python3.11", version: "3.11.2" }],
  uv: { path: "/usr/bin/uv", version: "0.9.0" },
  disks: [{ folder: "/home/me/.bodywork", freeBytes: 50 * gibibyte, totalBytes: 100 * gibibyte }],
  ingress: { address: "127.0.0.1:8080", state: "free", note: undefined },
  files: [{ path: "/home/me/.bodywork", mode: 0o700, isOurs: true, isPrivate: false }],
  clock: {
    now: Date.parse("2026-11-23T19:05:12.000Z"),
    jumpSeconds: 0,
    diskSeconds: 0,
    futureSeconds: 0,
    isSynchronized: true,
  },
  settings: undefined,
  engine: { engine: "local", why: "there is no kubeconfig on this machine" },
  server: {
    version: undefined,
    ownVersion: "4.0.0",
    answeredAfter: undefined,
    remote: undefined,
    failure: undefined,
    silentPid: undefined,
  },
  cluster: { kubeconfig: undefined, unreadable: undefined, kubectl: undefined, answer: undefined },
  store: undefined,
  secrets: { sealedWith: [], missing: [], failure: undefined },
  logs: [],
};
