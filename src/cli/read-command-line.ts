import { Command, Option } from "commander";
import { SecretValue } from "../core/secret-value.ts";
import type { ConnectionOptions } from "./cli-io.ts";
import { commandInput, type GivenOptions } from "./command-input.ts";
import type { ArgumentSpec, CommandInput, CommandSpec, OptionSpec } from "./command-spec.ts";
import { commandGroups, commandTable } from "./command-table.ts";
import { spreadValues } from "./spread-values.ts";
import { commonOptions, globalOptions } from "./table/shared.ts";
import { usageMessage } from "./usage-message.ts";
import { type ValueRule, wrongValue } from "./value-types.ts";

export type ReadCommandLine =
  | ReadCommand
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" }
  /** For standard error: the usage, where help is, and what is wrong. */
  | { readonly kind: "usage-error"; readonly text: string };

export interface ReadCommand {
  readonly kind: "command";
  readonly spec: CommandSpec;
  readonly input: CommandInput;
  readonly connection: ConnectionOptions;
}

/**
 * Reads a command line against the command table. `width` is that of the terminal the help goes to; without one nothing
 * is wrapped.
 */
export function readCommandLine(argv: readonly string[], width: number | undefined): ReadCommandLine {
  let read: ReadCommandLine | undefined;
  let help = "";
  const program = buildProgram({
    width: width ?? Number.POSITIVE_INFINITY,
    onHelp: (text) => {
      help += text;
    },
    onCommand: (spec, input) => {
      read = { kind: "command", spec, input, connection: connectionOf(input) };
    },
  });
  try {
    program.parse(argv[0] === "help" ? [...argv.slice(1), "--help"] : [...argv], { from: "user" });
  } catch (error) {
    if (error instanceof WrongUsage) return usageError(error.command, error.message);
    if (error instanceof VersionAsked) return { kind: "version" };
    if (error instanceof HelpAsked) return { kind: "help", text: help };
    throw error;
  }
  return read ?? { kind: "help", text: help };
}

class WrongUsage extends Error {
  readonly command: Command;

  constructor(command: Command, message: string) {
    super(message);
    this.command = command;
  }
}

/** Commander ends the process after its help unless something is thrown. */
class HelpAsked extends Error {}

class VersionAsked extends Error {}

/** Takes several values after a repeatable option. */
class SpreadingCommand extends Command {
  readonly #options: readonly OptionSpec[];

  constructor(word: string, options: readonly OptionSpec[]) {
    super(word);
    this.#options = options;
  }

  override parseOptions(words: string[]) {
    return super.parseOptions(spreadValues(words, this.#options));
  }
}

interface ProgramHooks {
  readonly width: number;
  readonly onHelp: (text: string) => void;
  readonly onCommand: (spec: CommandSpec, input: CommandInput) => void;
}

function buildProgram(hooks: ProgramHooks): Command {
  const program = prepared(new Command("bodywork"), hooks)
    .description("Deploys pipelines of plain Python from a Git repository: trains, serves, rolls back.")
    .option("--version", "Print the version")
    .on("option:version", () => {
      throw new VersionAsked();
    })
    .addHelpText("after", "\nEach command has its own help: bodywork create deployment --help");
  addEarlyOptions(program);
  const groups = new Map<string, Command>([["", program]]);
  for (const { words, summary } of commandGroups) {
    const group = prepared(new Command(words.at(-1)), hooks).description(summary);
    addEarlyOptions(group);
    parentOf(words, groups).addCommand(group);
    groups.set(words.join(" "), group);
  }
  for (const spec of commandTable) addCommand(parentOf(spec.words, groups), spec, hooks);
  return program;
}

function parentOf(words: readonly string[], groups: ReadonlyMap<string, Command>): Command {
  const path = words.slice(0, -1).join(" ");
  const parent = groups.get(path);
  if (parent === undefined) throw new Error(`the command table has no group "${path}"`);
  return parent;
}

/** What may stand before the words of a command. Only the command itself knows whether it takes it. */
function addEarlyOptions(command: Command): void {
  command.enablePositionalOptions();
  for (const option of globalOptions) addOption(command, option);
  for (const option of commonOptions) addOption(command, option, { hidden: true });
}

function addCommand(parent: Command, spec: CommandSpec, hooks: ProgramHooks): void {
  const [word = ""] = spec.words.slice(-1);
  const command = prepared(new SpreadingCommand(word, [...spec.options, ...globalOptions]), hooks)
    .summary(spec.summary)
    .description([`${spec.summary}.`, ...(spec.description ?? [])].join("\n\n"))
    .addHelpText("after", `\nExample:\n${spec.examples.map((example) => `  ${example}`).join("\n")}`);
  parent.addCommand(command, { hidden: spec.hidden ?? false });
  if (spec.plural !== undefined) command.alias(spec.plural);
  for (const argument of spec.arguments) addArgument(command, argument);
  for (const option of spec.options) addOption(command, option);
  for (const option of globalOptions) {
    if (spec.options.some(({ name }) => name === option.name)) continue;
    addOption(command, option, { group: "Options of every command:" });
  }
  command.action(() => {
    const given = givenOptions(command);
    checkEarlyOptions(command, spec, given);
    for (const [one, other] of spec.conflicts ?? []) {
      if (given.has(one) && given.has(other)) {
        throw new WrongUsage(command, `Option '--${one}' cannot be used with '--${other}'.`);
      }
    }
    hooks.onCommand(spec, commandInput(spec, command.args, given));
  });
}

/** Of the command and of those above it; what stands further right wins. */
function givenOptions(command: Command): GivenOptions {
  const given = new Map<string, string | boolean | readonly string[]>();
  for (let at: Command | null = command; at !== null; at = at.parent) {
    for (const option of at.options) {
      const key = option.attributeName();
      const name = hyphenated(key);
      if (at.getOptionValueSource(key) === "cli" && !given.has(name)) given.set(name, at.getOptionValue(key));
    }
  }
  return given;
}

/** What stood before the command's words was read before it was known which command it is. */
function checkEarlyOptions(command: Command, spec: CommandSpec, given: GivenOptions): void {
  for (const { name } of commonOptions) {
    const value = given.get(name);
    if (value === undefined) continue;
    const declared = spec.options.find((option) => option.name === name);
    if (declared === undefined) throw new WrongUsage(command, `No such option: --${name}`);
    if (declared.kind === "value" && typeof value === "string") check(command, `--${name}`, value, declared);
  }
}

function addArgument(command: Command, spec: ArgumentSpec): void {
  command.argument(
    spec.required ? `<${spec.name}>` : `[${spec.name}]`,
    [
      spec.summary,
      spec.choices && `(${spec.choices.join(", ")})`,
      spec.default !== undefined && `(default: ${spec.default})`,
    ]
      .filter(Boolean)
      .join(" "),
    (value: string) => {
      if (spec.required && value === "") {
        throw new WrongUsage(command, `Invalid value for '${spec.name}': it is empty.`);
      }
      check(command, spec.name, value, spec);
      return value;
    },
  );
}

function addOption(
  command: Command,
  spec: OptionSpec,
  { group, hidden = false }: { readonly group?: string; readonly hidden?: boolean } = {},
): void {
  const add = (option: Option): void => {
    if (group !== undefined) option.helpGroup(group);
    command.addOption(option);
  };
  if (spec.kind === "flag") {
    add(new Option(`--${spec.name}`, spec.summary).hideHelp(hidden));
    if (spec.negatable) add(new Option(`--no-${spec.name}`, "Do not"));
    return;
  }
  const notes = [
    spec.required && "(required)",
    spec.repeatable && "(may be given several times)",
    spec.choices && `(${spec.choices.join(", ")})`,
    spec.default !== undefined && `(default: ${spec.default})`,
  ];
  const summary = [spec.summary, ...notes].filter(Boolean).join(" ");
  const key = new Option(`--${spec.name}`).attributeName();
  for (const name of [spec.name, ...(spec.aliases ?? [])]) {
    const isAlias = name !== spec.name;
    const option = new Option(`--${name} <${spec.value}>`, summary)
      .hideHelp(hidden || isAlias || spec.hidden === true)
      .makeOptionMandatory(spec.required === true && !isAlias)
      .argParser((value: string, before: unknown) => {
        check(command, `--${name}`, value, spec);
        return spec.repeatable ? [...(Array.isArray(before) ? before : []), value] : value;
      });
    option.attributeName = () => key;
    add(option);
  }
}

/** What commander prints or exits for comes to us instead. */
function prepared<C extends Command>(command: C, hooks: ProgramHooks): C {
  return command
    .helpOption("-h, --help", "Show this help")
    .helpCommand(false)
    .configureOutput({
      writeOut: hooks.onHelp,
      writeErr: () => {},
      getOutHelpWidth: () => hooks.width,
      getOutHasColors: () => false,
    })
    .configureHelp({ commandUsage: usageLine, subcommandTerm: (subcommand) => subcommand.name() })
    .exitOverride((error) => {
      if (error.exitCode !== 0) throw new WrongUsage(command, usageMessage(error, command));
      throw new HelpAsked();
    });
}

function usageLine(command: Command): string {
  const parts = command.registeredArguments.map((argument) =>
    argument.required ? argument.name() : `[${argument.name()}]`,
  );
  return [pathOf(command), "[options]", command.commands.length > 0 && "COMMAND", ...parts]
    .filter(Boolean)
    .join(" ");
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function usageError(command: Command, message: string): ReadCommandLine {
  const path = pathOf(command);
  return {
    kind: "usage-error",
    text: `Usage: ${usageLine(command)}\nTry '${path} --help' for help.\n\nError: ${message}\n`,
  };
}

function check(command: Command, label: string, value: string, spec: ValueRule): void {
  const wrong = wrongValue(value, spec);
  if (wrong !== undefined) throw new WrongUsage(command, `Invalid value for '${label}': ${wrong}`);
}

function connectionOf(input: CommandInput): ConnectionOptions {
  const token = input.text("token");
  const engine = input.text("engine");
  return {
    server: input.text("server"),
    token: token === undefined ? undefined : new SecretValue(token),
    engine: engine === "local" || engine === "kubernetes" ? engine : undefined,
  };
}

/** The name of an option from the key under which commander keeps it. */
function hyphenated(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
