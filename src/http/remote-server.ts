import { Failure } from "../core/failure.ts";
import type { ServerControl } from "../operations/operations.ts";
import type { ServerMachine } from "../operations/server-admin.ts";
import type { ServerClient } from "./client.ts";
import type { ServerAddress } from "./connection.ts";
import { type Login, readCertificates } from "./login-file.ts";
import { parseServerUrl } from "./server-url.ts";

/** What the command line, the environment and `bodywork login` say of a server on another machine. */
export interface RemoteFacts {
  /** The one that was chosen. */
  readonly url: string;
  /** `--token`, else `BODYWORK_TOKEN`. */
  readonly token: string | undefined;
  /** `BODYWORK_CA_FILE`. */
  readonly caFile: string | undefined;
  /** `BODYWORK_INSECURE_HTTP`. */
  readonly insecureHttp: boolean;
  readonly login: Login | undefined;
  /** Of this command. */
  readonly version: string;
}

/**
 * How to reach the chosen server. What a login keeps is for its own address: its token goes to no other. Fails: usage (no
 * token, or an address that may not be used).
 */
export function addressOfRemote(facts: RemoteFacts): ServerAddress {
  // How the address is written must not matter; whether it may be used is judged below.
  const api = parseServerUrl(facts.url, { insecureHttp: true });
  const kept = facts.login?.url === api ? facts.login : undefined;
  const insecureHttp = facts.insecureHttp || (kept?.insecureHttp ?? false);
  parseServerUrl(api, { insecureHttp });
  const token = facts.token ?? kept?.token;
  if (token === undefined) {
    throw new Failure("usage", `There is no token for the server ${api}.`, {
      hint: `Set BODYWORK_TOKEN, or: bodywork login ${api}`,
    });
  }
  const ca = facts.caFile === undefined ? kept?.ca : readCertificates(facts.caFile);
  return { api, token, ca, insecureHttp, version: facts.version };
}

/** A server on another machine can be asked how it is; who starts and stops it is that machine. */
export function createRemoteControl(client: ServerClient, url: string): ServerControl {
  return {
    status: () => client.status(),
    start: () => Promise.reject(elsewhere("started", url)),
    stop: () => Promise.reject(elsewhere("stopped", url)),
  };
}

export function createRemoteMachine(url: string): ServerMachine {
  return {
    installUnit: () => Promise.reject(elsewhere("installed", url)),
    inspectBackup: () => Promise.reject(elsewhere("restored", url)),
    restore: () => Promise.reject(elsewhere("restored", url)),
  };
}

function elsewhere(what: string, url: string): Failure {
  return new Failure("usage", `The server ${url} is on another machine: it is ${what} there.`, {
    hint: "If this machine's own server is meant: --engine local",
  });
}
