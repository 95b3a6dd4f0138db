import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { createClient, type ServerClient } from "../../../src/http/client.ts";
import type { ServedRoute } from "../../../src/http/served-routes.ts";
import { type ApiParts, createApi } from "../../../src/http/server.ts";
import { hashOfToken } from "../../../src/operations/access-tokens.ts";
import type { Operations, ServerStatus } from "../../../src/operations/operations.ts";
import { createServerAdmin } from "../../../src/operations/server-admin.ts";
import type { AccessToken, Scope } from "../../../src/ports/access-store.ts";
import type { Store } from "../../../src/ports/store.ts";
import { openStore } from "../../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { testAdmin, testOperations } from "./test-actions.ts";

export const localToken = "a".repeat(64);
export const startOfTime = Date.parse("2026-11-25T12:00:00.000Z");

export const status: ServerStatus = {
  running: true,
  pid: 1,
  version: "4.1.0",
  home: "/home/me/.bodywork",
  api: "",
  ingress: undefined,
  ingressRunning: false,
  startedAt: undefined,
};

export interface TestApi {
  readonly api: string;
  readonly routes: readonly ServedRoute[];
  readonly store: Store;
  /** What the server's own process was asked. */
  readonly told: string[];
  /** Its log. */
  readonly log: string[];
  client(token?: string): ServerClient;
  /** A token that is on record. */
  token(scopes: readonly Scope[], change?: Partial<AccessToken>): string;
  /** Lets time pass, in milliseconds. */
  advance(milliseconds: number): void;
}

/** What an API is made of, with a real store; time stands still unless `now` says otherwise. */
export function apiParts(
  operations: Partial<Operations> = {},
  {
    now = () => startOfTime,
    told = [],
    log = [],
  }: { now?: () => number; told?: string[]; log?: string[] } = {},
): ApiParts & { readonly access: Store } {
  const store = openStore(join(temporaryFolder("store"), "store.db"));
  onTestFinished(() => store.close());
  return {
    operations: testOperations(operations),
    admin: createServerAdmin({ ...testAdmin(), store, now: () => new Date(now()) }),
    access: store,
    localToken,
    hosts: [],
    version: "4.1.0",
    now: () => new Date(now()),
    fault: (doing, error) => log.push(`${doing}: ${(error as Error).stack}`),
    report: (text) => log.push(text),
    starting: () => false,
    readiness: () => [],
    status: () => status,
    async listen(address) {
      told.push(`listen ${address}`);
    },
    async stop({ services }) {
      told.push(`stop ${services}`);
    },
  };
}

/** The real API on a loopback port; time goes on by `advance` alone. */
export async function testApi(
  operations: Partial<Operations> = {},
  parts: Partial<ApiParts> = {},
): Promise<TestApi> {
  const told: string[] = [];
  const log: string[] = [];
  let now = startOfTime;
  const made = apiParts(operations, { now: () => now, told, log });
  const store = made.access;
  const { app, routes } = await createApi({ ...made, ...parts });
  const api = await app.listen({ host: "127.0.0.1", port: 0 });
  onTestFinished(() => app.close());
  let tokens = 0;
  return {
    ...{ api, routes, store, told, log },
    client: (token = localToken) => createClient({ api, token }),
    token(scopes, change = {}) {
      const token = `bw_test${tokens}`;
      const id = String(tokens++).padStart(8, "0");
      const createdAt = new Date(now).toISOString();
      const times = { createdAt, expiresAt: undefined, lastUsedAt: undefined };
      store.saveToken({ id, name: scopes.join("+"), scopes, ...times, ...change }, hashOfToken(token));
      return token;
    },
    advance(milliseconds) {
      now += milliseconds;
    },
  };
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface Answered {
  readonly status: number | undefined;
  readonly body: string;
  readonly headers: IncomingMessage["headers"];
}

/** A request as any program may make it, to its end. A body that is no text is sent as JSON. */
export function ask(url: string, { method = "GET", headers = {}, body }: Asked = {}): Promise<Answered> {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      {
        method,
        agent: false,
        headers: { ...(text === undefined ? {} : { "content-type": "application/json" }), ...headers },
      },
      (message) => {
        const chunks: Buffer[] = [];
        message.on("data", (chunk: Buffer) => chunks.push(chunk));
        message.on("error", reject);
        message.on("end", () =>
          resolve({
            status: message.statusCode,
            body: Buffer.concat(chunks).toString(),
            headers: message.headers,
          }),
        );
      },
    );
    asked.once("error", reject);
    asked.end(text);
  });
}

export function bearing(token: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${token}` };
}
