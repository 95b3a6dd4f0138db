import { existsSync } from "node:fs";
import { ClusterProblem, run, tryRun } from "./run.ts";

/** A program or file that must be there → the Debian package that has it. */
const needed: Readonly<Record<string, string>> = {
  containerd: "containerd",
  ctr: "containerd",
  runc: "runc",
  "/usr/lib/cni/bridge": "containernetworking-plugins",
  iptables: "iptables",
  conntrack: "conntrack",
  ip: "iproute2",
  busybox: "busybox-static",
  debootstrap: "debootstrap",
  openssl: "openssl",
  sysctl: "procps",
  unshare: "util-linux",
};

/** Installs Debian's packages of the programs that are missing. Throws where there is no apt-get. */
export function installPackages(tell: (line: string) => void): void {
  const missing = [
    ...new Set(
      Object.keys(needed)
        .filter(isMissing)
        .map((name) => needed[name] as string),
    ),
  ];
  if (missing.length === 0) return;
  if (isMissing("apt-get")) {
    throw new ClusterProblem(
      `these are missing, and there is no apt-get to install them: ${missing.join(", ")}`,
    );
  }
  tell(`installing ${missing.join(", ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update", "-qq"], { env });
  run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], { env });
  const still = Object.keys(needed).filter(isMissing);
  if (still.length > 0)
    throw new ClusterProblem(`still missing after their installation: ${still.join(", ")}`);
}

function isMissing(name: string): boolean {
  return name.startsWith("/") ? !existsSync(name) : tryRun("which", [name]).status !== 0;
}
