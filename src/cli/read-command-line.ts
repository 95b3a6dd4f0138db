import { Command, type CommanderError, Option } from "commander";
import type { ArgumentSpec, CommandInput, CommandSpec, OptionSpec, ValueType } from "./command-spec.ts";
import { commandGroups, commandTable } from "./command-table.ts";

export type ReadCommandLine =
  | { readonly kind: "command"; readonly spec: CommandSpec; readonly input: CommandInput }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" }
  /** For standard error: the usage, where help is, and what is wrong. */
  | { readonly kind: "usage-error"; readonly text: string };

/**
 * Reads a command line against the command table. `width` is that of the terminal the help goes to; without one nothing
 * is wrapped. Messages of usage errors have the form scripts know from the original (`Missing argument 'GIT_URL'.`).
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
      read = { kind: "command", spec, input };
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
  const groups = new Map(
    commandGroups.map(({ word, summary }) => {
      const group = prepared(program.command(word), hooks).description(summary);
      return [word, group] as const;
    }),
  );
  for (const spec of commandTable) {
    const [first = "", second] = spec.words;
    const parent = second === undefined ? program : (groups.get(first) ?? program);
    addCommand(parent, spec, second ?? first, hooks);
  }
  return program;
}

function addCommand(parent: Command, spec: CommandSpec, word: string, hooks: ProgramHooks): void {
  const command = prepared(parent.command(word, { hidden: spec.hidden ?? false }), hooks)
    .summary(spec.summary)
    .description([`${spec.summary}.`, ...(spec.description ?? [])].join("\n\n"))
    .addHelpText("after", `\nExample:\n${spec.examples.map((example) => `  ${example}`).join("\n")}`);
  if (spec.plural !== undefined) command.alias(spec.plural);
  for (const argument of spec.arguments) addArgument(command, argument);
  for (const option of spec.options) addOption(command, option);
  command.action(() => {
    const values = command.opts<Record<string, string | number | boolean | undefined>>();
    const given = (name: string): boolean => command.getOptionValueSource(camelCase(name)) === "cli";
    for (const [one, other] of spec.conflicts ?? []) {
      if (given(one) && given(other)) {
        throw new WrongUsage(command, `Option '--${one}' cannot be used with '--${other}'.`);
      }
    }
    hooks.onCommand(spec, commandInput(spec, command.args, values));
  });
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

function addOption(command: Command, spec: OptionSpec): void {
  if (spec.kind === "flag") {
    command.addOption(new Option(`--${spec.name}`, spec.summary));
    if (spec.negatable) command.addOption(new Option(`--no-${spec.name}`, "Do not (the default)"));
    return;
  }
  const notes = [
    spec.choices && `(${spec.choices.join(", ")})`,
    spec.default !== undefined && `(default: ${spec.default})`,
  ];
  const option = new Option(
    `--${spec.name} <${spec.value}>`,
    [spec.summary, ...notes].filter(Boolean).join(" "),
  )
    .hideHelp(spec.hidden ?? false)
    .argParser((value: string) => {
      check(command, `--${spec.name}`, value, spec);
      return value;
    });
  command.addOption(option);
}

/** What commander prints or exits for comes to us instead. */
function prepared(command: Command, hooks: ProgramHooks): Command {
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

/** Our words for commander's. */
function usageMessage(error: CommanderError, command: Command): string {
  const suggestion = /\(Did you mean (?:one of )?(.+)\?\)/.exec(error.message)?.[1];
  const didYouMean =
    suggestion === undefined
      ? ""
      : ` Did you mean ${suggestion
          .split(", ")
          .map((word) => `'${word}'`)
          .join(" or ")}?`;
  const quoted = /'([^']*)'/.exec(error.message)?.[1] ?? "";
  switch (error.code) {
    case "commander.help":
      return "Missing command.";
    case "commander.missingArgument":
      return `Missing argument '${quoted}'.`;
    case "commander.optionMissingArgument":
      return `Option '${quoted.split(" ")[0]}' requires an argument.`;
    case "commander.unknownOption":
      if (command.options.some(({ long }) => long === quoted.split("=")[0])) {
        return `Option '${quoted.split("=")[0]}' does not take a value.`;
      }
      return `No such option: ${quoted.split("=")[0]}${didYouMean && `.${didYouMean}`}`;
    case "commander.unknownCommand":
      return `No such command '${command.args[0] ?? quoted}'.${notHere(command.args[0]) ?? didYouMean}`;
    case "commander.excessArguments": {
      const extra = command.args.slice(command.registeredArguments.length);
      return `Got unexpected extra argument${extra.length === 1 ? "" : "s"} (${extra.join(" ")})`;
    }
    default:
      return error.message.replace(/^error: /, "");
  }
}

/** Of words that the original knows. */
function notHere(word = ""): string | undefined {
  return /^(cronjobs?|secrets?|configure-cluster|stage)$/.test(word)
    ? " Secrets, cronjobs and Kubernetes are not in this version."
    : undefined;
}

interface Checked {
  readonly type?: ValueType;
  readonly choices?: readonly string[];
}

function check(command: Command, label: string, value: string, { type = "text", choices }: Checked): void {
  const wrong = choices !== undefined ? wrongChoice(value, choices) : wrongValue(value, type);
  if (wrong !== undefined) {
    throw new WrongUsage(command, `Invalid value for '${label}': ${wrong}`);
  }
}

function wrongChoice(value: string, choices: readonly string[]): string | undefined {
  if (choices.includes(value)) return undefined;
  return `'${value}' is not one of ${choices.map((choice) => `'${choice}'`).join(", ")}.`;
}

function wrongValue(value: string, type: ValueType): string | undefined {
  switch (type) {
    case "text":
      return undefined;
    case "integer":
      return isInteger(value) ? undefined : `'${value}' is not a valid integer.`;
    case "count":
      if (!isInteger(value)) return `'${value}' is not a valid integer.`;
      return Number(value) >= 0 ? undefined : `'${value}' is less than 0.`;
    case "seconds":
      return /^\d+(\.\d+)?$/.test(value) && Number(value) > 0
        ? undefined
        : `'${value}' is not a number of seconds above 0.`;
    case "address":
      return isAddress(value)
        ? undefined
        : `'${value}' is not of the form HOST:PORT, such as 127.0.0.1:8080.`;
  }
}

function isInteger(value: string): boolean {
  return /^[+-]?\d+$/.test(value) && Number.isSafeInteger(Number(value));
}

function isAddress(value: string): boolean {
  const port = /^(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@[\]]+):(\d{1,5})$/.exec(value)?.[1];
  return port !== undefined && Number(port) <= 65_535;
}

function commandInput(
  spec: CommandSpec,
  words: readonly string[],
  options: Readonly<Record<string, string | number | boolean | undefined>>,
): CommandInput {
  const argument = (name: string): string | undefined => {
    const index = spec.arguments.findIndex((declared) => declared.name === name);
    if (index < 0) throw new Error(`"${spec.words.join(" ")}" has no argument ${name}`);
    return words[index] ?? spec.arguments[index]?.default;
  };
  const option = (name: string): { readonly declared: OptionSpec; readonly value: unknown } => {
    const declared = spec.options.find((candidate) => candidate.name === name);
    if (declared === undefined) throw new Error(`"${spec.words.join(" ")}" has no option --${name}`);
    return { declared, value: options[camelCase(name)] };
  };
  const text = (name: string): string | undefined => {
    const { declared, value } = option(name);
    if (typeof value === "string") return value;
    return declared.kind === "value" ? declared.default : undefined;
  };
  return {
    required(name) {
      const value = argument(name);
      if (value === undefined) throw new Error(`"${spec.words.join(" ")}" was called without ${name}`);
      return value;
    },
    optional: argument,
    text,
    number(name) {
      const value = text(name);
      return value === undefined ? undefined : Number(value);
    },
    flag: (name) => option(name).value === true,
  };
}

/** The key under which commander keeps an option. */
function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
