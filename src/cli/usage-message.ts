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
      const meant = firstOfSome(suggestedBy(error), commandsInOtherWords(word, command), commandsAbout(word));
      const help = ["bodywork", ...wordsOf(command), "--help"].join(" ");
      return `No such command '${word}'.${didYouMean(meant) || ` See: ${help}`}`;
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

function firstOfSome(...lists: readonly (readonly string[])[]): readonly string[] {
  return lists.find((list) => list.length > 0) ?? [];
}

/** The words that lead to a group of commands, without the program's own. */
function wordsOf(command: Command): readonly string[] {
  return command.parent === null ? [] : [...wordsOf(command.parent), command.name()];
}

/** How other tools call what ours do. */
const otherVerbs: Readonly<Record<string, string>> = {
  list: "get",
  ls: "get",
  show: "get",
  describe: "get",
  add: "create",
  new: "create",
  remove: "delete",
  rm: "delete",
  set: "update",
  edit: "update",
};

/** Of `secret list`, which others write, it is `get secrets`: the verb comes first with us. */
function commandsInOtherWords(word: string, group: Command): readonly string[] {
  const verb = otherVerbs[word] ?? word;
  const [noun] = wordsOf(group);
  if (noun === undefined) return verb === word ? [] : [verb];
  return commandTable
    .filter(
      ({ words, plural }) =>
        words.length === 2 && words[0] === verb && (words[1] === noun || plural === noun),
    )
    .map(({ words, plural }) => `${verb} ${verb === "get" ? (plural ?? words[1]) : words[1]}`);
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
