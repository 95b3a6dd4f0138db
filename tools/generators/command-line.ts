import type { ArgumentSpec, CommandSpec, OptionSpec } from "../../src/cli/command-spec.ts";
import { commandTable } from "../../src/cli/command-table.ts";
import { globalOptions } from "../../src/cli/table/shared.ts";

/** docs/reference/command-line.md, from the same table that the tool's own help is printed from. */
export async function generate(): Promise<ReadonlyMap<string, string>> {
  const sections = commandTable.filter((command) => command.hidden !== true).map(section);
  return new Map([["docs/reference/command-line.md", `${[opening, ...sections].join("\n\n")}\n`]]);
}

const opening = `# Command line

Made from the tool's own command table (\`npm run generate\`); do not edit.

Results go to standard output, progress and notices to standard error. The exit code is 0 when all is done, 1 when
something failed or was refused, and 2 when the command line itself is wrong.

Options may stand before the arguments of a command and after them, as \`--name value\` and as \`--name=value\`. These every
command takes, before its words too:

${table(globalOptions.map(optionRow))}`;

function section(command: CommandSpec): string {
  const title = `## bodywork ${[...command.words, ...command.arguments.map(placeholder)].join(" ")}`;
  const plural =
    command.plural === undefined
      ? []
      : [`\`${[...command.words.slice(0, -1), command.plural].join(" ")}\` is the same.`];
  const options = command.options.filter((option) => !(option.kind === "value" && option.hidden));
  const inputs = [...command.arguments.map(argumentRow), ...options.map(optionRow)];
  const inputTable = inputs.length === 0 ? [] : [table(inputs)];
  const examples =
    command.examples.length === 0 ? [] : [command.examples.map((line) => `    ${line}`).join("\n")];
  return [
    title,
    `${command.summary}.`,
    ...(command.description ?? []),
    ...plural,
    ...inputTable,
    ...examples,
  ].join("\n\n");
}

function table(rows: readonly string[]): string {
  return ["| | |", "|---|---|", ...rows].join("\n");
}

function placeholder(argument: ArgumentSpec): string {
  return argument.required ? argument.name : `[${argument.name}]`;
}

function argumentRow(argument: ArgumentSpec): string {
  return row(argument.name, argument.summary, argument.default, argument.choices);
}

function optionRow(option: OptionSpec): string {
  if (option.kind === "flag") {
    return row(
      option.negatable ? `--${option.name}, --no-${option.name}` : `--${option.name}`,
      option.summary,
    );
  }
  const summary = [
    option.summary,
    option.required && "required",
    option.repeatable && "may be given several times, and with several values",
  ]
    .filter(Boolean)
    .join("; ");
  return row(`--${option.name} ${option.value}`, summary, option.default, option.choices);
}

function row(name: string, summary: string, preset?: string, choices?: readonly string[]): string {
  const notes = [
    ...(choices === undefined ? [] : [`one of ${choices.map((choice) => `\`${choice}\``).join(", ")}`]),
    ...(preset === undefined ? [] : [`\`${preset}\` if left out`]),
  ];
  const text = [summary, ...notes].join("; ").replaceAll("|", "\\|");
  return `| \`${name}\` | ${text} |`;
}
