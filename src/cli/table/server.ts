import type { CommandSpec } from "../command-spec.ts";
import { output } from "./shared.ts";

/** Rows of the command table. */
export const serverCommands: readonly CommandSpec[] = [
  {
    words: ["env", "list"],
    summary: "List the Python environments",
    arguments: [],
    options: [output],
    examples: ["bodywork env list"],
    load: async () => (await import("../commands/env.ts")).listEnvironments,
  },
  {
    words: ["env", "clean"],
    summary: "Remove Python environments that no live release uses",
    arguments: [],
    options: [
      {
        kind: "value",
        name: "unused-days",
        value: "DAYS",
        type: "count",
        default: "0",
        summary: "Only those not used for so many days",
      },
      output,
    ],
    examples: ["bodywork env clean --unused-days 30"],
    load: async () => (await import("../commands/env.ts")).cleanEnvironments,
  },
  {
    words: ["server", "start"],
    summary: "Start the server, and bring services back after a reboot",
    description: ["Commands that need the server start it by themselves."],
    arguments: [],
    options: [
      {
        kind: "value",
        name: "listen",
        value: "HOST:PORT",
        type: "address",
        summary: "Public address of the ingress (127.0.0.1:8080 at first)",
      },
      output,
    ],
    examples: ["bodywork server start --listen 127.0.0.1:8080"],
    load: async () => (await import("../commands/server.ts")).startServer,
  },
  {
    words: ["server", "stop"],
    summary: "Stop the server; services and the ingress live on",
    arguments: [],
    options: [{ kind: "flag", name: "services", summary: "Stop every service and the ingress too" }, output],
    examples: ["bodywork server stop", "bodywork server stop --services"],
    load: async () => (await import("../commands/server.ts")).stopServer,
  },
  {
    words: ["server", "status"],
    summary: "Show whether the server runs, and its addresses",
    arguments: [],
    options: [output],
    examples: ["bodywork server status --output json"],
    load: async () => (await import("../commands/server.ts")).serverStatus,
  },
  {
    words: ["server", "run"],
    hidden: true,
    summary: "Be the server, in the foreground",
    arguments: [],
    options: [
      {
        kind: "value",
        name: "listen",
        value: "HOST:PORT",
        type: "address",
        summary: "Public address of the ingress",
      },
    ],
    examples: ["bodywork server run"],
    load: async () => (await import("../commands/server.ts")).runServer,
  },
];
