import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { ClusterProblem, run, tryRun } from "./run.ts";

/** What this machine has of the network of one cluster. */
export interface Link {
  /** Tells clusters apart, from 0. */
  readonly slot: number;
  /** Whether this machine handed packets on before. */
  readonly forwarded: boolean;
}

const firstNet = 200;

/** Of the slot's cluster: a link between this machine and the node, its pods and its services. */
export function addresses(slot: number) {
  const net = `10.${firstNet + slot}`;
  return {
    net: `${net}.0.0/16`,
    host: `${net}.0.1`,
    node: `${net}.0.2`,
    pods: `${net}.1.0/24`,
    services: `${net}.128.0/17`,
    firstService: `${net}.128.1`,
  };
}

/** The first whose network nothing on this machine uses. */
export function freeSlot(): number {
  const routes = run("ip", ["-4", "route", "show", "table", "all"]);
  const slot = Array.from({ length: 32 }, (_, index) => index).find(
    (index) =>
      !routes.includes(`10.${firstNet + index}.`) && networkInterfaces()[linkName(index)] === undefined,
  );
  if (slot === undefined)
    throw new ClusterProblem("networks 10.200 to 10.231 are all in use on this machine");
  return slot;
}

/** Also of its control group. */
export function linkName(slot: number): string {
  return `bodywork-test${slot}`;
}

/** The link to the node, and the way out for its pods. */
export function makeLink(slot: number, pid: number): void {
  const { host, node, net } = addresses(slot);
  const link = linkName(slot);
  run("ip", ["link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", String(pid)]);
  run("ip", ["address", "add", `${host}/30`, "dev", link]);
  run("ip", ["link", "set", link, "up"]);
  run("ip", ["route", "add", net, "via", node]);
  for (const rule of rulesOf(slot))
    run("iptables", ["--wait", "--table", rule.table, "--insert", ...rule.words]);
  run("sysctl", ["-qw", "net.ipv4.ip_forward=1"]);
}

/** Nothing that is not there any more is missed. */
export function removeLink({ slot, forwarded }: Link): void {
  for (const rule of rulesOf(slot))
    tryRun("iptables", ["--wait", "--table", rule.table, "--delete", ...rule.words]);
  tryRun("ip", ["link", "delete", linkName(slot)]);
  const others = Object.keys(networkInterfaces()).some((name) => name.startsWith("bodywork-test"));
  if (!forwarded && !others) run("sysctl", ["-qw", "net.ipv4.ip_forward=0"]);
}

function rulesOf(slot: number): readonly { readonly table: string; readonly words: readonly string[] }[] {
  const { net } = addresses(slot);
  const link = linkName(slot);
  return [
    {
      table: "nat",
      words: ["POSTROUTING", "--source", net, "!", "--out-interface", link, "--jump", "MASQUERADE"],
    },
    { table: "filter", words: ["FORWARD", "--in-interface", link, "--jump", "ACCEPT"] },
    { table: "filter", words: ["FORWARD", "--out-interface", link, "--jump", "ACCEPT"] },
  ];
}

export function forwards(): boolean {
  return readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim() === "1";
}
