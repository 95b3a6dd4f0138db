/**
 * What the command line is given: where it reads and writes, and where its verbs come from. Nothing here knows the
 * process, so that a test can be the terminal.
 */

import type { DoctorFacts } from "../core/doctor.ts";
import type { SecretValue } from "../core/secret-value.ts";
import type { ClusterAdmin } from "../operations/cluster-admin.ts";
import type { Operations, ServerControl } from "../operations/operations.ts";
import type { StageHereObserver, StageHereRequest } from "../operations/run-stage-here.ts";
import type { Logins, ServerAdmin, ServerMachine } from "../operations/server-admin.ts";
import type { ImageTool } from "../ports/image-tool.ts";
import type { SecretFiles } from "../ports/secrets.ts";

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
  /** The same, without showing what is typed. */
  askHidden(question: string): Promise<string | undefined>;
  /** All of standard input, as text in UTF-8. */
  readInput(): Promise<string>;
  /** Absolute; relative paths on the command line start here. */
  readonly workingFolder: string;
  /** `BODYWORK_DEBUG`: unexpected errors show their stack. */
  readonly debug: boolean;
  /** `--quiet`: what is only good to know, and progress, is not said. */
  readonly quiet: boolean;
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

/** What the command line itself says about where a command goes; it wins over the environment and the settings. */
export interface ConnectionOptions {
  /** `--server`: a URL, as it was typed. */
  readonly server: string | undefined;
  /** `--token`. */
  readonly token: SecretValue | undefined;
  /** `--engine`. */
  readonly engine: "local" | "kubernetes" | undefined;
}

/** How the command line reaches everything else. Each member loads what it needs when it is called. */
export interface CliWiring {
  readonly version: string;
  /** Is called before everything else when the command line has such options; holds for all that is asked afterwards. */
  use(options: ConnectionOptions): void;
  /** `deployment`: the one that the command is about. Fails: engine-unavailable when no engine may be chosen. */
  engineNotice(deployment?: string): Promise<EngineNotice>;
  operations(): Promise<Operations>;
  /** What a listing does not show because another engine of the user's holds it, in one line; undefined when none is known of. */
  elsewhere(): Promise<string | undefined>;
  /** Why a command that only looks shows this machine's own engine, in one line; undefined when that, or a server, was chosen. */
  shownInstead(): Promise<string | undefined>;
  serverControl(): Promise<ServerControl>;
  /** Tokens, audit log and backup of the server that commands go to. */
  serverAdmin(): Promise<ServerAdmin>;
  serverMachine(): Promise<ServerMachine>;
  /** `namespace`: with rights inside that one only. Fails: engine-unavailable, cluster-unreachable. */
  clusterAdmin(namespace: string | undefined): Promise<ClusterAdmin>;
  logins(): Promise<Logins>;
  /** Undefined when there is no such file. Fails: usage when it can't be read. */
  readProjectFile(path: string): Promise<ProjectFile | undefined>;
  /** The text of a private key file. Fails: usage when there is none, or it can't be read. */
  readKeyFile(path: string): Promise<SecretValue>;
  /** How secrets are carried from one machine to another. */
  secretFiles(): Promise<SecretFiles>;
  /** `BODYWORK_GIT_SSH_PRIVATE_KEY` of this machine; undefined when it is not set or blank. */
  environmentSshKey(): SecretValue | undefined;
  /** What builds our own image. */
  imageTool(): Promise<ImageTool>;
  /** What `doctor` judges. */
  doctorFacts(): Promise<DoctorFacts>;
  /** Runs one stage in the foreground; see `runStageHere` of the operations. */
  runStageHere(request: StageHereRequest, observer: StageHereObserver, signal: AbortSignal): Promise<void>;
  /** Waits until what this process carries out itself, or has to store elsewhere, is done. */
  finish(): Promise<void>;
  /** Is the server of the home folder until it is told to stop; returns the exit code. */
  serveForeground(options: {
    readonly listen: string | undefined;
    /** Where the API listens for other machines; the settings say so if left out. */
    readonly listenApi: string | undefined;
  }): Promise<number>;
}
