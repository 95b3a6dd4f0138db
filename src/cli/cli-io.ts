/**
 * What the command line is given: where it reads and writes, and where its verbs come from. Nothing here knows the
 * process, so that a test can be the terminal.
 */

import type { Operations, ServerControl } from "../operations/operations.ts";

/** One of the two streams a command writes to. */
export interface CliStream {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** False when `NO_COLOR` is set or the stream is no terminal. */
  readonly color: boolean;
}

export type CliSignal = "SIGINT" | "SIGTERM";

export interface CliIo {
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  /** Width of the terminal; undefined when there is none. */
  readonly columns: number | undefined;
  /** True when a person can be asked something. */
  readonly canAsk: boolean;
  /** Asks and returns the answer without its line end; undefined when there was none. */
  ask(question: string): Promise<string | undefined>;
  /** Absolute; relative paths on the command line start here. */
  readonly workingFolder: string;
  /** `BODYWORK_DEBUG`: unexpected errors show their stack. */
  readonly debug: boolean;
  /** Milliseconds since 1970. */
  now(): number;
  /** Ends early, without failing, when the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** Calls back again and again until disposed. */
  every(milliseconds: number, callback: () => void): () => void;
  /** While there is a handler the signal does not end the process. Returns what removes the handler. */
  onSignal(signal: CliSignal, handler: () => void): () => void;
  /** Aborts when nobody reads standard output any more (`… | head`). */
  readonly outputClosed: AbortSignal;
}

/** Which engine the commands that act go to, and why that one. */
export interface EngineNotice {
  /** `local`, later `kubernetes` or the address of a server. */
  readonly engine: string;
  /** `no kubeconfig on this machine`, `BODYWORK_ENGINE=local`. */
  readonly why: string;
}

/** A project file as `validate` needs it. */
export interface ProjectFile {
  /** As they are on disk: they may be no text at all. */
  readonly bytes: Uint8Array;
  /** Whether a path (as in the file, relative to the file's folder) leads to something. */
  readonly has: (path: string) => boolean;
}

/** How the command line reaches everything else. Each member loads what it needs when it is called. */
export interface CliWiring {
  readonly version: string;
  /** Fails: engine-unavailable when no engine may be chosen. */
  engineNotice(): Promise<EngineNotice>;
  operations(): Promise<Operations>;
  serverControl(): Promise<ServerControl>;
  /** Undefined when there is no such file. Fails: usage when it can't be read. */
  readProjectFile(path: string): Promise<ProjectFile | undefined>;
  /** Is the server of the home folder until it is told to stop; returns the exit code. */
  serveForeground(options: { readonly listen: string | undefined }): Promise<number>;
}
