import type { CommandInput, CommandSpec, OptionSpec } from "./command-spec.ts";
import { globalOptions } from "./table/shared.ts";

/** What was given for the options, by their own names. */
export type GivenOptions = ReadonlyMap<string, string | boolean | readonly string[]>;

/** What was typed, for the code of the command. `words` are its arguments in order. */
export function commandInput(spec: CommandSpec, words: readonly string[], given: GivenOptions): CommandInput {
  const called = `"${spec.words.join(" ")}"`;
  const argument = (name: string): string | undefined => {
    const index = spec.arguments.findIndex((declared) => declared.name === name);
    if (index < 0) throw new Error(`${called} has no argument ${name}`);
    return words[index] ?? spec.arguments[index]?.default;
  };
  const option = (name: string): OptionSpec => {
    const declared = [...spec.options, ...globalOptions].find((candidate) => candidate.name === name);
    if (declared === undefined) throw new Error(`${called} has no option --${name}`);
    return declared;
  };
  const text = (name: string): string | undefined => {
    const declared = option(name);
    const value = given.get(name);
    if (typeof value === "string") return value;
    return declared.kind === "value" ? declared.default : undefined;
  };
  return {
    required(name) {
      const value = argument(name);
      if (value === undefined) throw new Error(`${called} was called without ${name}`);
      return value;
    },
    optional: argument,
    text,
    texts(name) {
      const declared = option(name);
      if (declared.kind === "flag" || !declared.repeatable) {
        throw new Error(`${called} takes --${name} once`);
      }
      const values = given.get(name);
      return Array.isArray(values) ? values : [];
    },
    number(name) {
      const value = text(name);
      return value === undefined ? undefined : Number(value);
    },
    flag(name) {
      option(name);
      return given.get(name) === true;
    },
    choice(name) {
      option(name);
      const value = given.get(name);
      return typeof value === "boolean" ? value : undefined;
    },
  };
}
