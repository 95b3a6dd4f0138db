import type { OptionSpec } from "./command-spec.ts";

/**
 * Writes several values after one repeatable option (`--data A=1 B=2`) as one option each. A word after the first value is
 * taken for a further one only while it has a `=`: what comes then is an argument of the command.
 */
export function spreadValues(words: readonly string[], options: readonly OptionSpec[]): string[] {
  const spread: string[] = [];
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") return [...spread, word, ...rest];
    spread.push(word);
    const [flag = ""] = word.split("=", 1);
    const option = options.find((candidate) => namesOf(candidate).includes(flag));
    if (option?.kind !== "value") continue;
    if (flag === word) spread.push(...rest.splice(0, 1));
    if (!option.repeatable) continue;
    while (rest[0]?.includes("=") && !rest[0].startsWith("-")) spread.push(`${flag}=${rest.shift()}`);
  }
  return spread;
}

function namesOf(option: OptionSpec): readonly string[] {
  const aliases = option.kind === "value" ? (option.aliases ?? []) : [];
  return [option.name, ...aliases].map((name) => `--${name}`);
}
