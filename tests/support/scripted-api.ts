/**
 * A Kubernetes API server in memory, over HTTP on 127.0.0.1, that misbehaves as a test says. Its clients see what they
 * would of a real one: objects with versions, uids and generations; server-side apply with owners of fields and
 * conflicts; lists in pages; watches with bookmarks that know a window of history; logs; discovery; access reviews.
 * No controller acts on what it holds: a test plays these with `put`.
 *
 *     const api = await startScriptedApi();
 *     onTestFinished(api.stop);
 *     api.on({ method: "POST", path: /jobs/, fault: { kind: "cut-after" } });
 *     const cluster = await connectCluster({ kubeconfigFiles: api.kubeconfig, inCluster: false, version: "1" });
 *
 * Not modelled: admission, defaults, validation (but the size of Secrets), graceful deletion, finalizers.
 */

import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Kind, KubernetesObject, Place } from "../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../src/engines/kubernetes/client/kinds.ts";
import { createObjects, notFound, Refusal, resourceOf, sameKind } from "./scripted-objects.ts";
import { isSelected, type Selectors } from "./scripted-selectors.ts";

/** What happens instead of, or after, what was asked for. */
export type Fault =
  /** An answer of this status; nothing is done. */
  | {
      readonly kind: "status";
      readonly status: number;
      /** Seconds. */
      readonly retryAfter?: number;
      readonly reason?: string;
      readonly message?: string;
    }
  /** The connection breaks; nothing is done. */
  | { readonly kind: "cut-before" }
  /** What was asked for is done, and the connection breaks before the answer. */
  | { readonly kind: "cut-after" }
  /** No answer ever; nothing is done. */
  | { readonly kind: "hang" }
  /** Of a stream (a watch, a log): the connection breaks after so many bytes of the answer. */
  | { readonly kind: "cut-stream"; readonly bytes: number }
  /** Of a stream: it ends after so many bytes of the answer, as if that were all. */
  | { readonly kind: "end-stream"; readonly bytes: number }
  /** Of a watch: half of the next event's line, then the end. */
  | { readonly kind: "half-line" }
  /** Of a watch: the answer is 200, and its first event this error; it ends there, unless it `staysOpen`. */
  | { readonly kind: "error-event"; readonly code: number; readonly staysOpen?: boolean }
  /** Of a watch: the answer is 200, and nothing ever comes. */
  | { readonly kind: "silence" };

export interface Rule {
  readonly method?: string;
  /** The path with its query: `/\/pods\?.*watch=true/`. */
  readonly path?: RegExp;
  /** Matching requests that are let pass before; 0 by default. */
  readonly after?: number;
  /** Matching requests that it happens to; 1 by default. */
  readonly times?: number;
  readonly fault: Fault;
}

export interface SeenRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** `performance.now()`. */
  readonly at: number;
  readonly body: unknown;
  readonly userAgent: string;
}

export interface ScriptedLog {
  /** Lines as the container writes them, with their ends; the time is now unless it is given (ISO 8601). */
  write(text: string, time?: string): void;
  /** The container has ended: who follows is at the end. */
  end(): void;
}

export interface ScriptedApi {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Path of a kubeconfig with the one context `scripted`. */
  readonly kubeconfig: string;
  /** All so far, in the order in which they came. */
  readonly requests: readonly SeenRequest[];
  /** Rules are looked at in their order; the first that matches and is not used up happens. */
  on(rule: Rule): void;
  /** All of a kind; of all namespaces by default. */
  objects(kind: Kind, namespace?: string): readonly KubernetesObject[];
  /** Makes or changes an object as a controller would, status and all. */
  put(object: KubernetesObject): KubernetesObject;
  /** As somebody else would. */
  remove(kind: Kind, place: Place): void;
  log(pod: Place): ScriptedLog;
  /** Forgets all history: pages and watches that began before are too old (410). */
  compact(): void;
  /** Breaks the connections that are open, watches above all. */
  cut(): void;
  /** The server is down: connections are refused until `resume`, at the same address. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Kinds that are not served, `httproutes.gateway.networking.k8s.io`. */
  readonly unserved: Set<string>;
  /** What access reviews answer; true for all by default. */
  allowed: (attributes: Readonly<Record<string, string>>) => boolean;
  /** The token that is taken: `token` at first. */
  token: string;
  /** Path of the file from which the kubeconfig has its token. */
  readonly tokenFile: string;
  stop(): Promise<void>;
}

export interface ScriptedApiOptions {
  /** Changes that a watch can begin before; 1,000 by default. */
  readonly window?: number;
  /** Milliseconds between bookmarks; 1,000 by default. */
  readonly bookmarkPeriod?: number;
}

export async function startScriptedApi({
  window = 1_000,
  bookmarkPeriod = 1_000,
}: ScriptedApiOptions = {}): Promise<ScriptedApi> {
  const all: readonly Kind[] = Object.values(kinds);
  const objects = createObjects(all, window);
  const rules: { readonly rule: Rule; seen: number }[] = [];
  const requests: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  const watches = new Set<Watch>();
  const pages = new Map<string, readonly KubernetesObject[]>();
  const logs = new Map<string, LogState>();
  const unserved = new Set<string>();

  objects.onChange = (change) => {
    for (const watch of watches) watch.tell(change);
  };

  const server = createServer((request, response) => {
    void handle(request, response).catch((error: unknown) => {
      if (error instanceof Refusal) answer(response, error.status, statusOf(error));
      else answer(response, 500, { kind: "Status", message: String(error), reason: "InternalError" });
    });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        server.off("error", reject);
        resolve();
      });
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const folder = mkdtempSync(join(tmpdir(), "scripted-api-"));
  const kubeconfig = join(folder, "kubeconfig");
  const tokenFile = join(folder, "token");
  writeFileSync(tokenFile, "token\n");
  writeFileSync(kubeconfig, kubeconfigOf(url));

  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      cut();
    });
  const api: ScriptedApi = {
    url,
    kubeconfig,
    tokenFile,
    requests,
    unserved,
    token: "token",
    allowed: () => true,
    on: (rule) => void rules.push({ rule, seen: 0 }),
    objects: (kind, namespace) => structuredClone(objects.all(kind, namespace)),
    put: (object) => objects.put(kindOf(object), object),
    remove: (kind, place) => objects.remove(kind, place),
    log(pod) {
      const state = logOf(pod);
      return {
        write(text, time = new Date().toISOString()) {
          for (const line of text.split(/(?<=\n)/)) state.lines.push({ time, line });
          state.changed();
        },
        end() {
          state.isEnded = true;
          state.changed();
        },
      };
    },
    compact() {
      objects.compact();
      pages.clear();
    },
    cut,
    pause,
    resume: () => listen(port),
    async stop() {
      if (server.listening) await pause();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return api;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET", url: path = "/" } = request;
    const text = await textOf(request);
    const body: unknown = text === "" ? undefined : JSON.parse(text);
    const userAgent = request.headers["user-agent"] ?? "";
    requests.push({ method, path, at: performance.now(), body, userAgent });
    const fault = faultFor(method, path);
    switch (fault?.kind) {
      case "status": {
        if (fault.retryAfter !== undefined) response.setHeader("Retry-After", fault.retryAfter);
        const reason = fault.reason ?? "Unknown";
        return answer(
          response,
          fault.status,
          statusOf(new Refusal(fault.status, reason, fault.message ?? reason)),
        );
      }
      case "cut-before":
        return void request.socket.destroy();
      case "hang":
        return;
      case "cut-after":
        return serve(
          method,
          path,
          body,
          userAgent,
          request,
          new CutAnswer(response) as unknown as ServerResponse,
        );
      case "cut-stream":
      case "end-stream":
        limitStream(response, fault.bytes, fault.kind === "cut-stream");
        break;
      default:
    }
    if (request.headers.authorization !== `Bearer ${api.token}`)
      throw new Refusal(401, "Unauthorized", "Unauthorized");
    await serve(method, path, body, userAgent, request, response, fault);
  }

  function faultFor(method: string, path: string): Fault | undefined {
    for (const entry of rules) {
      const { rule } = entry;
      if (rule.method !== undefined && rule.method !== method) continue;
      if (rule.path !== undefined && !rule.path.test(path)) continue;
      entry.seen++;
      const { after = 0, times = 1 } = rule;
      if (entry.seen > after && entry.seen <= after + times) return rule.fault;
    }
    return undefined;
  }

  async function serve(
    method: string,
    path: string,
    body: unknown,
    userAgent: string,
    request: IncomingMessage,
    response: ServerResponse,
    fault?: Fault,
  ): Promise<void> {
    const { pathname, searchParams: query } = new URL(path, url);
    if (pathname === "/version")
      return answer(response, 200, { major: "1", minor: "34", gitVersion: "v1.34.4" });
    if (pathname.endsWith("/selfsubjectaccessreviews")) {
      const { spec } = body as { readonly spec: { readonly resourceAttributes: Record<string, string> } };
      return answer(response, 201, { status: { allowed: api.allowed(spec.resourceAttributes) } });
    }
    const target = targetOf(pathname);
    if (target === undefined)
      throw new Refusal(404, "NotFound", "the server could not find the requested resource");
    if (target.kind === "group") return answer(response, 200, discovery(target.group));
    const { type, namespace, name, below } = target;
    const manager = query.get("fieldManager") ?? userAgent.split("/")[0] ?? "";
    const write = { manager, dryRun: query.get("dryRun") === "All" };
    if (name === undefined) {
      if (method === "GET" && query.get("watch") === "true") {
        return serveWatch(type, namespace, query, response, fault);
      }
      if (method === "GET") return answer(response, 200, page(type, namespace, query));
      if (method === "POST") {
        const object = body as KubernetesObject;
        const metadata = type.namespaced ? { namespace, ...object.metadata } : object.metadata;
        return answer(
          response,
          201,
          objects.create(type, { ...object, metadata } as KubernetesObject, write),
        );
      }
    } else {
      const place = { namespace, name };
      if (below === "log") return serveLog(place, query, request, response);
      switch (method) {
        case "GET": {
          const found = objects.get(type, place);
          if (found === undefined) throw notFound(type, name);
          return answer(response, 200, found);
        }
        case "PUT":
          return answer(response, 200, objects.replace(type, body as KubernetesObject, write));
        case "PATCH":
          return answer(
            response,
            200,
            patch(type, place, body, String(request.headers["content-type"]), query, write),
          );
        case "DELETE": {
          const uid = (body as { readonly preconditions?: { readonly uid?: string } } | undefined)
            ?.preconditions?.uid;
          objects.remove(type, place, uid);
          return answer(response, 200, { kind: "Status", status: "Success" });
        }
        default:
      }
    }
    throw new Refusal(
      405,
      "MethodNotAllowed",
      "the server does not allow this method on the requested resource",
    );
  }

  function targetOf(pathname: string): Target | undefined {
    const found = /^\/(?:api\/(v1)|apis\/([^/]+\/[^/]+))(?:\/(.*))?$/.exec(pathname);
    const group = found?.[1] ?? found?.[2];
    if (group === undefined) return undefined;
    const served = all.filter((kind) => kind.apiVersion === group && !unserved.has(resourceOf(kind)));
    if (served.length === 0) return undefined;
    const parts = (found?.[3] ?? "")
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
    if (parts.length === 0) return { kind: "group", group };
    const isInside = parts[0] === "namespaces" && parts.length > 2;
    const namespace = isInside ? parts[1] : undefined;
    const [plural, name, below] = isInside ? parts.slice(2) : parts;
    const type = served.find((kind) => kind.plural === plural);
    return type && { kind: "object", type, namespace, name, below };
  }

  function discovery(group: string): unknown {
    const served = all.filter((kind) => kind.apiVersion === group && !unserved.has(resourceOf(kind)));
    return {
      kind: "APIResourceList",
      groupVersion: group,
      resources: served.map(({ plural, kind, namespaced }) => ({ name: plural, kind, namespaced })),
    };
  }

  function page(kind: Kind, namespace: string | undefined, query: URLSearchParams): unknown {
    const token = query.get("continue");
    const known = token === null ? undefined : pages.get(token);
    if (token !== null && known === undefined) {
      throw new Refusal(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result",
      );
    }
    const selectors = selectorsOf(query);
    const items = known ?? objects.all(kind, namespace).filter((object) => isSelected(object, selectors));
    const limit = Number(query.get("limit") ?? 0) || items.length;
    const rest = items.slice(limit);
    const next = rest.length > 0 ? randomUUID() : undefined;
    if (next !== undefined) pages.set(next, rest);
    return {
      kind: `${kind.kind}List`,
      apiVersion: kind.apiVersion,
      metadata: { resourceVersion: String(objects.version), continue: next },
      items: items.slice(0, limit).map(({ apiVersion: _1, kind: _2, ...item }) => item),
    };
  }

  function patch(
    kind: Kind,
    place: Place,
    body: unknown,
    type: string,
    query: URLSearchParams,
    write: { readonly manager: string; readonly dryRun: boolean },
  ): KubernetesObject {
    switch (type) {
      case "application/apply-patch+yaml":
        return objects.apply(kind, body as KubernetesObject, {
          ...write,
          force: query.get("force") === "true",
        });
      case "application/merge-patch+json":
        return objects.patch(kind, place, (object) => merged(object, body) as KubernetesObject, write);
      case "application/json-patch+json":
        return objects.patch(
          kind,
          place,
          (object) => jsonPatched(object, body as readonly Operation[]),
          write,
        );
      default:
        throw new Refusal(
          415,
          "UnsupportedMediaType",
          `the body of the request was in an unknown format: ${type}`,
        );
    }
  }

  function serveWatch(
    kind: Kind,
    namespace: string | undefined,
    query: URLSearchParams,
    response: ServerResponse,
    fault: Fault | undefined,
  ): void {
    const from = Number(query.get("resourceVersion") ?? objects.version);
    if (from < objects.oldest)
      throw new Refusal(410, "Expired", `too old resource version: ${from} (${objects.oldest})`);
    response.writeHead(200, { "Content-Type": "application/json" });
    response.flushHeaders();
    if (fault?.kind === "silence") return;
    if (fault?.kind === "error-event") {
      const gone = new Refusal(fault.code, "Expired", "too old resource version");
      response.write(`${JSON.stringify({ type: "ERROR", object: statusOf(gone) })}\n`);
      if (fault.staysOpen !== true) response.end();
      return;
    }
    const selectors = selectorsOf(query);
    const fits = (object: KubernetesObject | undefined): object is KubernetesObject =>
      object !== undefined &&
      (namespace === undefined || object.metadata.namespace === namespace) &&
      isSelected(object, selectors);
    const send = (type: string, object: unknown): void => {
      if (response.writableEnded) return;
      const line = `${JSON.stringify({ type, object })}\n`;
      if (fault?.kind === "half-line") response.end(line.slice(0, Math.floor(line.length / 2)));
      else response.write(line);
    };
    const watch: Watch = {
      tell(change) {
        if (change.version <= from || !sameKind(change.kind, kind)) return;
        const { before, after } = change;
        if (fits(after)) send(fits(before) ? "MODIFIED" : "ADDED", after);
        else if (fits(before)) {
          const metadata = { ...before.metadata, resourceVersion: String(change.version) };
          send("DELETED", { ...before, metadata });
        }
      },
    };
    const bookmarks = setInterval(() => {
      if (query.get("allowWatchBookmarks") !== "true") return;
      const { apiVersion, kind: name } = kind;
      send("BOOKMARK", { apiVersion, kind: name, metadata: { resourceVersion: String(objects.version) } });
    }, bookmarkPeriod);
    const end = setTimeout(() => response.end(), Number(query.get("timeoutSeconds") ?? 1_800) * 1000);
    response.on("close", () => {
      watches.delete(watch);
      clearInterval(bookmarks);
      clearTimeout(end);
    });
    watches.add(watch);
    for (const change of objects.history) watch.tell(change);
  }

  function logOf({ namespace, name }: Place): LogState {
    const key = `${namespace}/${name}`;
    const known = logs.get(key);
    if (known !== undefined) return known;
    const state: LogState = { lines: [], isEnded: false, changed: () => {}, waiting: Promise.resolve() };
    const renew = (): void => {
      const { promise, resolve } = Promise.withResolvers<void>();
      state.waiting = promise;
      state.changed = () => {
        resolve();
        renew();
      };
    };
    renew();
    logs.set(key, state);
    return state;
  }

  async function serveLog(
    pod: Place,
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (objects.get(kinds.pod, pod) === undefined) throw notFound(kinds.pod, pod.name);
    const state = logOf(pod);
    const since = query.get("sinceTime");
    // Whole seconds, as between the API server and kubelet.
    const start = since === null ? 0 : Math.floor(Date.parse(since) / 1000) * 1000;
    const lines = state.lines.filter(({ time }) => Date.parse(time) >= start);
    const tail = query.get("tailLines");
    let sent = state.lines.length;
    const send = (chosen: LogState["lines"]): void => {
      for (const { time, line } of chosen) response.write(query.get("timestamps") ? `${time} ${line}` : line);
    };
    response.writeHead(200, { "Content-Type": "text/plain" });
    response.flushHeaders();
    send(tail === null ? lines : Number(tail) === 0 ? [] : lines.slice(-Number(tail)));
    while (
      query.get("follow") === "true" &&
      !state.isEnded &&
      !request.socket.destroyed &&
      !response.writableEnded
    ) {
      await Promise.race([state.waiting, sleep(50)]);
      send(state.lines.slice(sent));
      sent = state.lines.length;
    }
    response.end();
  }
}

type Target =
  | { readonly kind: "group"; readonly group: string }
  | {
      readonly kind: "object";
      readonly type: Kind;
      readonly namespace: string | undefined;
      readonly name: string | undefined;
      readonly below: string | undefined;
    };

interface Watch {
  tell(change: {
    readonly version: number;
    readonly kind: Kind;
    readonly before: KubernetesObject | undefined;
    readonly after: KubernetesObject | undefined;
  }): void;
}

interface LogState {
  readonly lines: { readonly time: string; readonly line: string }[];
  isEnded: boolean;
  changed: () => void;
  waiting: Promise<void>;
}

/** Whatever it would answer, the connection breaks. */
class CutAnswer {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  writeHead(): this {
    return this;
  }

  setHeader(): this {
    return this;
  }

  end(): void {
    this.#response.destroy();
  }
}

/** Breaks or ends an answer behind the first bytes of its body. */
function limitStream(response: ServerResponse, bytes: number, isCut: boolean): void {
  let left = bytes;
  const { write } = response;
  const stop = (): void => {
    // What was written still goes out.
    if (isCut) response.socket?.destroySoon();
    else response.end();
  };
  response.write = ((text: string): boolean => {
    if (response.writableEnded || response.destroyed || left < 0) return false;
    const data = Buffer.from(text);
    const part = data.subarray(0, left);
    if (part.length > 0) write.call(response, part, "utf8");
    left -= data.length;
    if (left <= 0) {
      left = -1;
      stop();
    }
    return true;
  }) as typeof response.write;
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}

function statusOf({ status, reason, message, causes }: Refusal): unknown {
  return {
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    message,
    reason,
    details: { causes },
    code: status,
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function selectorsOf(query: URLSearchParams): Selectors {
  return { labels: query.get("labelSelector") ?? "", fields: query.get("fieldSelector") ?? "" };
}

function kindOf({ apiVersion, kind }: KubernetesObject): Kind {
  const found = Object.values(kinds).find((one) => one.apiVersion === apiVersion && one.kind === kind);
  if (found === undefined) throw new Error(`${apiVersion} ${kind} is none of kinds.ts`);
  return found;
}

/** RFC 7386. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const isMap = typeof target === "object" && target !== null && !Array.isArray(target);
  const result: Record<string, unknown> = isMap ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value: unknown;
}

/** RFC 6902, of which only `replace` is used here. */
function jsonPatched(object: KubernetesObject, operations: readonly Operation[]): KubernetesObject {
  const result = structuredClone(object);
  for (const { op, path, value } of operations) {
    if (op !== "replace") throw new Refusal(422, "Invalid", `the operation ${op} is not known here`);
    const names = path.split("/").slice(1);
    const last = names.pop() ?? "";
    let at = result as unknown as Record<string, unknown>;
    for (const name of names) at = at[name] as Record<string, unknown>;
    if (!(last in at)) throw new Refusal(422, "Invalid", `there is nothing at ${path}`);
    at[last] = value;
  }
  return result;
}

function kubeconfigOf(server: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "scripted",
    clusters: [{ name: "scripted", cluster: { server } }],
    contexts: [{ name: "scripted", context: { cluster: "scripted", user: "tester" } }],
    users: [{ name: "tester", user: { tokenFile: "token" } }],
  });
}
