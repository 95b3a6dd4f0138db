import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer, type RequestListener, type Server } from "node:http";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import { resolve } from "node:path";
import { createSecureContext } from "node:tls";

import { Failure } from "../core/failure.ts";
import type { ApiSettings } from "../core/settings.ts";
import { isLoopback } from "./loopback.ts";

/** The address at which other machines reach the API. */
export interface PublicListener {
  /** `https://0.0.0.0:8443`. */
  readonly address: string;
  close(): void;
}

export interface PublicListenerOptions {
  readonly settings: ApiSettings;
  /** Files of the settings are looked for here. */
  readonly home: string;
  readonly answer: RequestListener;
  /** Into the server's log. */
  readonly report: (text: string) => void;
  /** Milliseconds between two looks at the certificate's files; 10 s if left out. */
  readonly lookEvery?: number;
  /** Milliseconds that a handshake of TLS may take; 10 s if left out. */
  readonly handshakeTime?: number;
}

/** Connections at once, so that who opens many takes no more than this. */
const mostConnections = 1_000;

/**
 * Listens beside the loopback address of this machine's own commands; undefined when the settings do not ask for it. New
 * files of a certificate are used for the next connections; while they do not go together the old ones are. Fails: usage
 * (the settings can't be used), port-taken.
 */
export async function openPublicListener(
  options: PublicListenerOptions,
): Promise<PublicListener | undefined> {
  const { settings, answer, handshakeTime: handshakeTimeout = 10_000 } = options;
  if (settings.listen === undefined) return undefined;
  checkApiSettings(settings);
  const { host, port } = splitAddress(settings.listen);
  const certificate = certificateOf(options);
  const server =
    certificate === undefined
      ? createHttpServer(limits, answer)
      : createHttpsServer({ ...limits, ...certificate, handshakeTimeout, minVersion: "TLSv1.2" }, answer);
  server.maxConnections = mostConnections;
  await listen(server, host, port, settings.listen);
  const stopWatching =
    certificate === undefined ? undefined : watch(server as HttpsServer, certificate, options);
  return {
    address: `${certificate === undefined ? "http" : "https"}://${addressOf(server, settings.listen)}`,
    close() {
      stopWatching?.();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Refuses to send tokens and secrets in clear over a network. Fails: usage. */
export function checkApiSettings({ listen, tls_cert, insecure }: ApiSettings): void {
  if (listen === undefined || tls_cert !== undefined || insecure) return;
  if (isLoopback(splitAddress(listen).host)) return;
  throw new Failure("usage", `The API may not listen on ${listen} without TLS.`, {
    hint: "Set api.tls_cert and api.tls_key in settings.yaml, or api.insecure: true behind a proxy that speaks TLS.",
  });
}

/** Names by which the server is called, as of `hostOf`: those of the settings, and where it listens. */
export function hostsOf({ hosts, listen }: ApiSettings): readonly string[] {
  const own = listen === undefined ? [] : [listen.replace(/:\d+$/, "")];
  return [...hosts, ...own.filter((host) => host !== "0.0.0.0" && host !== "[::]")].map((host) =>
    host.toLowerCase(),
  );
}

/** A request must arrive in time, headers first: nobody holds connections by being slow. */
const limits = { headersTimeout: 20_000, requestTimeout: 60_000, connectionsCheckingInterval: 5_000 };

interface Certificate {
  readonly cert: string;
  readonly key: string;
}

function certificateOf({ settings, home }: PublicListenerOptions): Certificate | undefined {
  const { tls_cert, tls_key } = settings;
  if (tls_cert === undefined || tls_key === undefined) return undefined;
  try {
    const certificate = {
      cert: readFileSync(resolve(home, tls_cert), "utf8"),
      key: readFileSync(resolve(home, tls_key), "utf8"),
    };
    if (!new X509Certificate(certificate.cert).checkPrivateKey(createPrivateKey(certificate.key))) {
      throw new Error("they do not go together");
    }
    createSecureContext(certificate);
    return certificate;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure("usage", `Cannot use the certificate ${tls_cert} with the key ${tls_key}: ${why}`, {
      hint: "api.tls_cert and api.tls_key in settings.yaml name files in PEM.",
      cause: error,
    });
  }
}

/** Files are looked at, not watched: certificates are often links that are turned to others. */
function watch(server: HttpsServer, first: Certificate, options: PublicListenerOptions): () => void {
  let used = first;
  let told = "";
  const timer = setInterval(() => {
    try {
      const found = certificateOf(options);
      told = "";
      if (found === undefined || (found.cert === used.cert && found.key === used.key)) return;
      server.setSecureContext(found);
      used = found;
      options.report("The new certificate of the API is used.");
    } catch (error) {
      const { message } = error as Error;
      if (message !== told) options.report(`${message} The one before is used.`);
      told = message;
    }
  }, options.lookEvery ?? 10_000);
  timer.unref();
  return () => clearInterval(timer);
}

function listen(server: Server | HttpsServer, host: string, port: number, address: string): Promise<void> {
  return new Promise((resolved, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        new Failure("port-taken", `The API cannot listen on ${address}: ${error.code ?? error.message}.`, {
          hint: "Choose another: api.listen in settings.yaml.",
          cause: error,
        }),
      ),
    );
    server.listen({ host, port }, resolved);
  });
}

/** `HOST:PORT`, `[::1]:PORT`. */
function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  return { host, port: Number(port) };
}

/** With the port that port 0 has become. */
function addressOf(server: Server | HttpsServer, listens: string): string {
  const found = server.address();
  const port = found === null || typeof found === "string" ? "" : `:${found.port}`;
  return listens.replace(/:\d+$/, port);
}
