import type { Command, CommanderError } from "commander";
import { commandTable } from "./command-table.ts";

/** Our words for commander's, in the form that scripts know from the original (`Missing argument 'GIT_URL'.`). */
export function usageMessage(error: CommanderError, command: Command): string {
  const quoted = /'([^']*)'/.exec(error.message)?.[1] ?? "";
  switch (error.code) {
    case "commander.help":
      return "Missing command.";
    case "commander.missingArgument":
      return `Missing argument '${quoted}'.`;
    case "commander.missingMandatoryOptionValue":
      return `Missing option '${quoted.split(" ")[0]}'.`;
    case "commander.optionMissingArgument":
      return `Option '${quoted.split(" ")[0]}' requires an argument.`;
    case "commander.unknownOption": {
      const name = quoted.split("=")[0] ?? "";
      if (command.options.some(({ long }) => long === name)) return `Option '${name}' does not take a value.`;
      const meant = didYouMean(suggestedBy(error));
      return `No such option: ${name}${meant === "" ? "" : `.${meant}`}`;
    }
    case "commander.unknownCommand": {
      const word = command.args[0] ?? quoted;
      const suggested = suggestedBy(error);
      return `No such command '${word}'.${didYouMean(suggested.length > 0 ? suggested : commandsAbout(word))}`;
    }
    case "commander.excessArguments": {
      const extra = command.args.slice(command.registeredArguments.length);
      return `Got unexpected extra argument${extra.length === 1 ? "" : "s"} (${extra.join(" ")})`;
    }
    default:
      return error.message.replace(/^error: /, "");
  }
}

function suggestedBy(error: CommanderError): readonly string[] {
  return /\(Did you mean (?:one of )?(.+)\?\)/.exec(error.message)?.[1]?.split(", ") ?? [];
}

/** The commands that end with the word: who types `bodywork cronjobs` may mean any of them. */
function commandsAbout(word: string): readonly string[] {
  return commandTable
    .filter(({ words, plural }) => words.length > 1 && (words.at(-1) === word || plural === word))
    .map(({ words }) => [...words.slice(0, -1), word].join(" "));
}

function didYouMean(names: readonly string[]): string {
  if (names.length === 0) return "";
  const quoted = names.map((name) => `'${name}'`);
  const last = quoted.pop();
  return ` Did you mean ${quoted.length === 0 ? last : `${quoted.join(", ")} or ${last}`}?`;
}
