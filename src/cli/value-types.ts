/**
 * `nonempty`: any text but an empty one; `count`: 0 to 1,000,000; `seconds`: more than 0, fractions too;
 * `address`: `HOST:PORT`.
 */
export type ValueType = "text" | "nonempty" | "count" | "seconds" | "address";

export interface ValueRule {
  readonly type?: ValueType;
  readonly choices?: readonly string[];
  /** Of a count, when it is not 1,000,000. */
  readonly most?: number;
}

/** More than anybody needs of anything. */
const mostCount = 1_000_000;

/** What is wrong with a value, as a sentence; undefined when it is one. */
export function wrongValue(
  value: string,
  { type = "text", choices, most = mostCount }: ValueRule,
): string | undefined {
  return choices === undefined ? wrongType(value, type, most) : wrongChoice(value, choices);
}

function wrongChoice(value: string, choices: readonly string[]): string | undefined {
  if (choices.includes(value)) return undefined;
  return `'${value}' is not one of ${choices.map((choice) => `'${choice}'`).join(", ")}.`;
}

function wrongType(value: string, type: ValueType, most: number): string | undefined {
  switch (type) {
    case "text":
      return undefined;
    case "nonempty":
      return value === "" ? "it is empty." : undefined;
    case "count":
      if (!isInteger(value)) return `'${value}' is not a valid integer.`;
      if (Number(value) < 0) return `'${value}' is less than 0.`;
      return Number(value) <= most ? undefined : `'${value}' is more than ${most}.`;
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
