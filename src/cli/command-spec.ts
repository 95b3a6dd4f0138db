import type { CliIo, CliWiring } from "./cli-io.ts";
import type { ValueRule } from "./value-types.ts";

/** One row of the command table: what it is called, what it takes, and where its code is. */
export interface CommandSpec {
  /** `["create", "deployment"]`; of any length. */
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

/** A group of commands that share their first words. */
export interface GroupSpec {
  readonly words: readonly string[];
  readonly summary: string;
}

export interface ArgumentSpec extends ValueRule {
  readonly name: string;
  readonly summary: string;
  readonly required: boolean;
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
  | (ValueRule & {
      readonly kind: "value";
      readonly name: string;
      readonly summary: string;
      /** What the help calls the value. */
      readonly value: string;
      readonly default?: string;
      /** Wrong usage without it. */
      readonly required?: true;
      /** May be given several times, and with several pairs after it: `--data A=1 B=2 --data C=3`. */
      readonly repeatable?: true;
      /** Further names of it; they work, but no help lists them. */
      readonly aliases?: readonly string[];
      /** Works, but no help lists it. */
      readonly hidden?: true;
    });

export interface CommandContext {
  readonly io: CliIo;
  readonly wiring: CliWiring;
}

/** Does the command; returns the exit code, or throws a Failure. */
export type CommandHandler = (input: CommandInput, context: CommandContext) => Promise<number>;

/**
 * What was typed, already checked against the command's row. The options that every command has (`--quiet`, …) can be
 * asked for too; asking for something else that the row does not have is a bug and throws.
 */
export interface CommandInput {
  /** Throws when the argument is optional and was left out: use `optional`. */
  required(argument: string): string;
  optional(argument: string): string | undefined;
  text(option: string): string | undefined;
  /** All values of a repeatable option, in order; none when it was not given. */
  texts(option: string): readonly string[];
  number(option: string): number | undefined;
  flag(option: string): boolean;
  /** Of a flag that has a `--no-` form: undefined when neither was given. */
  choice(option: string): boolean | undefined;
}
