import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, renameSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { Failure } from "../../../core/failure.ts";
import type { IngressStats } from "../../../core/ingress-stats.ts";
import type { Address } from "../addresses.ts";

/** What the server asks of the ingress. All of it may be asked twice. */
export type ControlRequest =
  | { readonly do: "hello" }
  /** Takes up what the routes file says. */
  | { readonly do: "apply" }
  /** Opens a public listener beside the one that is open; the next `apply` closes what the file does not name. */
  | { readonly do: "open"; readonly address: Address }
  | { readonly do: "drain"; readonly targets: readonly Address[]; readonly milliseconds: number }
  | { readonly do: "stats" }
  /** Hands over to another program, which takes requests before this one stops to. */
  | { readonly do: "replace"; readonly program: IngressProgram }
  /** Takes no new connections from now on, and ends once the open ones have. */
  | { readonly do: "leave" };

export type ControlReply =
  | { readonly kind: "hello"; readonly version: string; readonly pid: number }
  | { readonly kind: "applied"; readonly failed: readonly NotListening[] }
  | { readonly kind: "opened"; readonly address: Address }
  | { readonly kind: "not-opened"; readonly code: string }
  | { readonly kind: "done" }
  | { readonly kind: "stats"; readonly stats: IngressStats }
  /** The request could not be carried out: ours. */
  | { readonly kind: "error"; readonly message: string };

/** An address that could not be opened, and the system's code for why: `EADDRINUSE`. */
export interface NotListening {
  readonly address: Address;
  readonly code: string;
}

/** How an ingress is started. */
export interface IngressProgram {
  /** Node's executable. */
  readonly node: string;
  readonly flags: readonly string[];
  readonly module: string;
  readonly args: readonly string[];
}

/** Bytes that the path of a unix socket may have on every system (104 on macOS), less what is added while it is made. */
const pathLimit = 90;

/**
 * The control socket of the ingress of this folder: in it, or where that path is too long for a socket, in a folder of
 * this user's below the temporary folder. Its folder is for this user only.
 */
export function controlPath(folder: string): string {
  const inside = join(folder, "control.sock");
  if (Buffer.byteLength(inside) <= pathLimit) return inside;
  const name = createHash("sha256").update(folder).digest("hex").slice(0, 16);
  const below = [tmpdir(), "/tmp"].map((root) =>
    join(root, `bodywork-${process.getuid?.() ?? 0}`, `${name}.sock`),
  );
  return below.find((path) => Buffer.byteLength(path) <= pathLimit) as string;
}

/** Answers requests on the control socket, in the place of whoever did so before. */
export async function serveControl(
  path: string,
  handle: (request: ControlRequest) => Promise<ControlReply>,
): Promise<Server> {
  makePrivateFolder(dirname(path));
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = "";
    socket.setEncoding("utf8");
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.once("end", async () => {
      const reply = await answerOf(text, handle);
      socket.end(JSON.stringify(reply));
    });
  });
  // Made beside and moved, so that there is a socket that answers at every moment.
  const made = `${path}.${process.pid}`;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(made, resolve);
  });
  chmodSync(made, 0o600);
  renameSync(made, path);
  return server;
}

/** Asks the ingress. Rejects when nobody answers within the time. */
export function askControl(
  path: string,
  request: ControlRequest,
  milliseconds: number,
): Promise<ControlReply> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = "";
    socket.setEncoding("utf8");
    socket.setTimeout(milliseconds, () => socket.destroy(new Error(`no answer within ${milliseconds} ms`)));
    socket.once("error", reject);
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.once("close", () => {
      try {
        resolve(JSON.parse(text) as ControlReply);
      } catch {
        reject(new Error("The ingress ended before it answered."));
      }
    });
    socket.end(JSON.stringify(request));
  });
}

async function answerOf(
  text: string,
  handle: (request: ControlRequest) => Promise<ControlReply>,
): Promise<ControlReply> {
  try {
    return await handle(JSON.parse(text) as ControlRequest);
  } catch (error) {
    return { kind: "error", message: error instanceof Error ? error.message : String(error) };
  }
}

function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  if (found.isDirectory() && found.uid === (process.getuid?.() ?? found.uid) && (found.mode & 0o022) === 0)
    return;
  throw new Failure("home-unsafe", `Others may write to ${folder}, where the ingress is controlled.`, {
    hint: `chmod 700 ${folder}`,
  });
}
