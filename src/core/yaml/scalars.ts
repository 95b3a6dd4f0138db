/** Which type a plain YAML 1.1 scalar has, and what it is worth. Pure text → value. */

export const tagPrefix = "tag:yaml.org,2002:";

/** The tag of a scalar that bears none. Quoted scalars and blocks do not resolve: they are text. */
export function scalarTag(value: string, resolves: boolean): string {
  if (resolves) {
    for (const [type, pattern] of implicitTypes) {
      if (pattern.test(value)) return tagPrefix + type;
    }
  }
  return `${tagPrefix}str`;
}

/**
 * YAML 1.1's types as PyYAML reads them: a float needs a dot and its exponent a sign (`1e3` is text), `0o17` is text,
 * `017` is fifteen, `1:30` is ninety. Python's `$` also matches before a last line break, which no plain scalar has.
 */
const implicitTypes: readonly (readonly [string, RegExp])[] = [
  ["bool", /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/],
  [
    "float",
    /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/,
  ],
  [
    "int",
    /^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$/,
  ],
  ["merge", /^<<$/],
  ["null", /^(?:~|null|Null|NULL|)$/],
  [
    "timestamp",
    /^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)$/,
  ],
  ["value", /^=$/],
];

/** Each reads the text of a scalar that bears (or was given) this type; undefined when it cannot be that type. */
export function readBool(text: string): boolean | undefined {
  const lower = text.toLowerCase();
  if (lower === "yes" || lower === "true" || lower === "on") return true;
  if (lower === "no" || lower === "false" || lower === "off") return false;
  return undefined;
}

export function readInt(text: string): number | undefined {
  const { sign, digits } = splitSign(text.replaceAll("_", ""));
  const magnitude = readMagnitude(digits);
  return magnitude === undefined ? undefined : sign * magnitude;
}

function readMagnitude(digits: string): number | undefined {
  if (digits === "0") return 0;
  if (/^0b[01]+$/.test(digits)) return digitsValue(digits.slice(2), 2);
  if (/^0x[0-9a-fA-F]+$/.test(digits)) return digitsValue(digits.slice(2), 16);
  if (digits.startsWith("0")) return /^[0-7]+$/.test(digits) ? digitsValue(digits, 8) : undefined;
  if (!/^[0-9]+(?::[0-9]+)*$/.test(digits)) return undefined;
  return sexagesimal(digits.split(":"));
}

export function readFloat(text: string): number | undefined {
  const { sign, digits } = splitSign(text.replaceAll("_", "").toLowerCase());
  if (digits === ".inf") return sign * Number.POSITIVE_INFINITY;
  if (digits === ".nan") return Number.NaN;
  if (!/^(?:[0-9.]+(?::[0-9.]+)*|[0-9.]+e[-+]?[0-9]+)$/.test(digits)) return undefined;
  const value = sexagesimal(digits.split(":"));
  return Number.isNaN(value) ? undefined : sign * value;
}

function splitSign(text: string): { sign: 1 | -1; digits: string } {
  const signed = text.startsWith("-") || text.startsWith("+");
  return { sign: text.startsWith("-") ? -1 : 1, digits: signed ? text.slice(1) : text };
}

function sexagesimal(parts: readonly string[]): number {
  return parts.reduce((value, part) => value * 60 + Number(part), 0);
}

function digitsValue(digits: string, base: number): number {
  let value = 0;
  for (const digit of digits) value = value * base + Number.parseInt(digit, base);
  return value;
}

/** The date or time as Python shows it, undefined when there is no such day or time. */
export function readTimestamp(text: string): string | undefined {
  const match =
    /^(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?(?:[ \t]*(?:Z|[-+](\d\d?)(?::(\d\d))?))?)?$/.exec(
      text,
    );
  if (match === null) return undefined;
  const [, year = "", month = "", day = "", hour, minute, second, , zoneHour] = match;
  if (!isDay(Number(year), Number(month), Number(day))) return undefined;
  const date = `${year}-${month.padStart(2, "0")}-${day.padStart(2, "0")}`;
  if (hour === undefined) return date;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  if (zoneHour !== undefined && Number(zoneHour) > 23) return undefined;
  return `${date} ${hour.padStart(2, "0")}:${minute}:${second}`;
}

function isDay(year: number, month: number, day: number): boolean {
  if (year < 1 || month < 1 || month > 12 || day < 1) return false;
  const date = new Date(Date.UTC(2000, month, 0));
  date.setUTCFullYear(year, month, 0);
  return day <= date.getUTCDate();
}
