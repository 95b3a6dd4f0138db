/**
 * Python environments: one per distinct (requirements, Python, platform), built once, shared by all stages that ask for
 * the same.
 */

export interface EnvironmentRequest {
  /** Installer arguments, one each, as in `requirements:`; may carry pip options. */
  readonly requirements: readonly string[];
  /** Text of the stage's requirements file; undefined when it has none. */
  readonly requirementsFile: string | undefined;
  /** Such as "3.11"; undefined for whichever Python 3 the machine has. */
  readonly python: string | undefined;
  /** True for `.ipynb` stages: the notebook runner is added. */
  readonly notebook: boolean;
}

/** A ready environment. Plain data: it is recorded with a release. */
export interface Environment {
  /** Hex digest of everything that decides the content; also the folder's name. */
  readonly key: string;
  /** Absolute path of the environment's folder (`bin/python` inside). */
  readonly folder: string;
  /** Absolute path of the interpreter. */
  readonly python: string;
  /** Full version, `3.11.7`. */
  readonly pythonVersion: string;
  /** The exact packages, one `name==version` a line, sorted. */
  readonly lock: string;
  /** E.g. that the wanted Python is not on this machine and which is used instead. */
  readonly warnings: readonly string[];
}

export interface EnvironmentRecord extends Environment {
  readonly bytes: number;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly lastUsedAt: string;
}

export interface BuildOptions {
  /** Called with what the installer prints, as it comes. */
  readonly onOutput?: (text: string) => void;
  /** A wanted Python that is missing is a failure instead of a warning. */
  readonly strict?: boolean;
  readonly signal?: AbortSignal;
}

export interface Environments {
  /** The environment if it is there, without starting a process (under 5 ms); marks it used. */
  find(request: EnvironmentRequest): Environment | undefined;

  /**
   * Finds or builds. Two callers, in one process or two, that need the same new environment build it once. Fails: environment-failed (with the
   * installer's own reason in `details`), python-missing (strict), environment-tool-missing, cancelled, disk-full.
   */
  prepare(
    request: EnvironmentRequest,
    options?: BuildOptions,
  ): Promise<Environment & { readonly built: boolean }>;

  list(): Promise<readonly EnvironmentRecord[]>;

  /** Removes every environment whose key is not kept and that was last used before `unusedSince`; returns what went. */
  sweep(options: {
    readonly keep: ReadonlySet<string>;
    readonly unusedSince: Date;
  }): Promise<readonly EnvironmentRecord[]>;
}
