import type { CliIo, CliWiring } from "./cli-io.ts";

/** One row of the command table: what it is called, what it takes, and where its code is. */
export interface CommandSpec {
  /** `["create", "deployment"]`. */
  readonly words: readonly string[];
  /** The plural of the last word, which means the same. */
  readonly plural?: string;
  /** Works, but no help lists it. */
  readonly hidden?: true;
  /** One line, no full stop. */
  readonly summary: string;
  /** Further paragraphs of its help. */
  readonly description?: readonly string[];
  readonly arguments: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  /** Whole command lines, without a prompt. */
  readonly examples: readonly string[];
  /** Options that exclude each other. */
  readonly conflicts?: readonly (readonly [string, string])[];
  readonly load: () => Promise<CommandHandler>;
}

/** A group of commands that share their first word. */
export interface GroupSpec {
  readonly word: string;
  readonly summary: string;
}

export interface ArgumentSpec {
  readonly name: string;
  readonly summary: string;
  readonly required: boolean;
  readonly type?: ValueType;
  readonly choices?: readonly string[];
  /** What it is when it isn't given, for the help. */
  readonly default?: string;
}

export type OptionSpec =
  | {
      readonly kind: "flag";
      readonly name: string;
      readonly summary: string;
      /** True when `--no-NAME` exists too. */
      readonly negatable?: true;
    }
  | {
      readonly kind: "value";
      readonly name: string;
      readonly summary: string;
      /** What the help calls the value. */
      readonly value: string;
      readonly type?: ValueType;
      readonly choices?: readonly string[];
      readonly default?: string;
      /** Works, but no help lists it. */
      readonly hidden?: true;
    };

/** `integer`: any; `count`: 0 or more; `seconds`: more than 0, fractions too; `address`: `HOST:PORT`. */
export type ValueType = "text" | "integer" | "count" | "seconds" | "address";

export interface CommandContext {
  readonly io: CliIo;
  readonly wiring: CliWiring;
}

/** Does the command; returns the exit code, or throws a Failure. */
export type CommandHandler = (input: CommandInput, context: CommandContext) => Promise<number>;

/**
 * What was typed, already checked against the command's row. Asking for something the row does not have is a bug and
 * throws.
 */
export interface CommandInput {
  /** Throws when the argument is optional and was left out: use `optional`. */
  required(argument: string): string;
  optional(argument: string): string | undefined;
  text(option: string): string | undefined;
  number(option: string): number | undefined;
  flag(option: string): boolean;
}
