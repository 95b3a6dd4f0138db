import { readFileSync } from "node:fs";
import { RootCommand, script } from "@bomb.sh/tab";
import { commandGroups, commandTable } from "./command-table.ts";
import { globalOptions } from "./table/shared.ts";

export const completionShells = ["bash", "zsh", "fish", "powershell"] as const;

export type CompletionShell = (typeof completionShells)[number];

/** The script that teaches a shell to complete `bodywork` and `bw`: it asks `bodywork complete -- WORDS`. */
export function completionScript(shell: CompletionShell): string {
  if (shell === "bash") {
    return readFileSync(new URL("./bash-completion.bash", import.meta.url), "utf8");
  }
  return printed(() => script(shell, "bodywork", "bodywork")) + shortNames[shell];
}

/** The short name is completed like the long one. */
const shortNames: Readonly<Record<Exclude<CompletionShell, "bash">, string>> = {
  zsh: "compdef _bodywork bw\n",
  fish: "complete -c bw -w bodywork\n",
  powershell: "Register-ArgumentCompleter -CommandName 'bw' -ScriptBlock $__bodyworkCompleterBlock\n",
};

/** What may follow these words, in the form the scripts read; the last word is the one being typed. */
export function completeWords(words: readonly string[]): string {
  const root = new RootCommand();
  for (const { words, summary } of commandGroups) root.command(words.join(" "), summary);
  for (const spec of commandTable) {
    if (spec.hidden) continue;
    const before = spec.words.slice(0, -1);
    for (const name of [spec.words.at(-1), ...(spec.plural === undefined ? [] : [spec.plural])]) {
      const command = root.command([...before, name].join(" "), spec.summary);
      for (const argument of spec.arguments) {
        command.argument(argument.name, (complete) => {
          for (const choice of argument.choices ?? []) complete(choice, "");
        });
      }
      for (const option of [...spec.options, ...globalOptions]) {
        if (option.kind === "flag") {
          command.option(option.name, option.summary);
          if (option.negatable) command.option(`no-${option.name}`, "Do not");
        } else if (!option.hidden) {
          command.option(option.name, option.summary, (complete) => {
            for (const choice of option.choices ?? []) complete(choice, "");
          });
        }
      }
      command.option("help", "Show this help");
    }
  }
  return printed(() => root.parse([...words]));
}

/** The library prints to the console only; what it prints is taken from there. */
function printed(print: () => void): string {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...parts: readonly unknown[]) => lines.push(parts.join(" "));
  try {
    print();
  } finally {
    console.log = log;
  }
  return lines.map((line) => `${line}\n`).join("");
}
