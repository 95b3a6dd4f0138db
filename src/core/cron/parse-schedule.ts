/** A cron schedule as the times at which the clock on the wall fires it. Months from 1, days of the week from 0, Sunday. */
export interface Schedule {
  /** As written. */
  readonly text: string;
  /** The five fields that it stands for: `0 0 * * *` for `@daily`. */
  readonly fields: readonly [string, string, string, string, string];
  /** Sorted, as `hours`. */
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly daysOfMonth: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly daysOfWeek: ReadonlySet<number>;
  /** True when both fields for days are restricted: a day then need match only one of them (crontab(5)). */
  readonly eitherDay: boolean;
}

export type ParsedSchedule =
  | { readonly schedule: Schedule; readonly problems: readonly [] }
  /** One line for each: `minute 60: 0 to 59`. */
  | { readonly schedule: undefined; readonly problems: readonly string[] };

/**
 * Reads what Kubernetes takes (the standard parser of robfig/cron v3): five fields, `*`, `?`, lists, ranges, steps, names
 * of months and days, and macros. Not taken, though Kubernetes does: `N/STEP`, which other crons read as N alone; a list
 * that names a number by itself and in a range; and what can't stay on the clock over a restart (`@every`).
 */
export function parseSchedule(text: string): ParsedSchedule {
  const problem = wholeProblem(text);
  if (problem !== undefined) return { schedule: undefined, problems: [problem] };
  const words = text.trim().startsWith("@") ? (macros[text.trim()] ?? "") : text;
  const fields = words.trim().split(/\s+/) as [string, string, string, string, string];
  const read = fields.map((field, index) => parseField(field, fieldKinds[index] as FieldKind));
  const problems = read.flatMap((field) => field.problems);
  if (problems.length > 0) return { schedule: undefined, problems };
  const [minutes, hours, daysOfMonth, months, daysOfWeek] = read as [Field, Field, Field, Field, Field];
  return {
    schedule: {
      text,
      fields,
      minutes: sorted(minutes.values),
      hours: sorted(hours.values),
      daysOfMonth: daysOfMonth.values,
      months: months.values,
      daysOfWeek: daysOfWeek.values,
      eitherDay: !daysOfMonth.any && !daysOfWeek.any,
    },
    problems: [],
  };
}

const longestText = 256;

/** What is wrong with the text before any field is looked at. */
function wholeProblem(text: string): string | undefined {
  if (text.length > longestText) return `longer than ${longestText} characters`;
  const words = text.trim().split(/\s+/);
  const [first = ""] = words;
  if (/^(CRON_)?TZ=/i.test(first))
    return `${first}: a time zone is not part of a schedule; give it by --timezone`;
  if (/^@every$/i.test(first)) {
    return `${text.trim()}: a time span begins anew whenever the server starts; write five fields, such as "0 * * * *"`;
  }
  if (first.startsWith("@")) {
    if (words.length === 1 && first in macros) return undefined;
    return `${text.trim()}: the macros are ${Object.keys(macros).join(", ")}`;
  }
  if (words.length === 5) return undefined;
  const count = first === "" ? "no fields" : `${words.length} ${words.length === 1 ? "field" : "fields"}`;
  return `${count}: a schedule has five, minute, hour, day of month, month and day of week`;
}

const macros: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

interface FieldKind {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  /** Names of the numbers from `first` on. */
  readonly names?: readonly string[];
}

const fieldKinds: readonly FieldKind[] = [
  { name: "minute", first: 0, last: 59 },
  { name: "hour", first: 0, last: 23 },
  { name: "day of month", first: 1, last: 31 },
  {
    name: "month",
    first: 1,
    last: 12,
    names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
  },
  { name: "day of week", first: 0, last: 6, names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] },
];

interface Field {
  readonly values: ReadonlySet<number>;
  /** True when nothing is restricted: some item is `*` or `?`, without a step. */
  readonly any: boolean;
  readonly problems: readonly string[];
}

/** Empty items of a list (`0,`) are passed over, as in Kubernetes and in the original. */
function parseField(field: string, kind: FieldKind): Field {
  const texts = field.split(",").filter((item) => item !== "");
  const items = texts.map((item) => parseItem(item, kind));
  const right = items.filter((item) => typeof item !== "string");
  const twice = right
    .filter(({ form }) => form === "number")
    .flatMap(({ values }) => values)
    .find((number) => right.some(({ form, values }) => form === "range" && values.includes(number)));
  return {
    values: new Set(right.flatMap(({ values }) => values)),
    any: right.some(({ form }) => form === "any"),
    problems: [
      ...(texts.length === 0 ? [`${kind.name} ${field}: nothing in it`] : []),
      ...items.flatMap((item, index) =>
        typeof item === "string" ? [`${kind.name} ${texts[index]}: ${item}`] : [],
      ),
      ...(twice === undefined ? [] : [`${kind.name} ${field}: ${twice} stands by itself and in a range`]),
    ],
  };
}

interface Item {
  readonly form: "number" | "range" | "any" | "step";
  readonly values: readonly number[];
}

/** What an item of a list stands for, or what is wrong with it. */
function parseItem(item: string, kind: FieldKind): Item | string {
  const [range = "", stepText, ...rest] = item.split("/");
  const [fromText = "", toText, ...more] = range.split("-");
  if (rest.length > 0 || more.length > 0) return "no number, range or step";
  const any = range === "*" || range === "?";
  const from = any ? kind.first : numberIn(fromText, kind);
  const to = any ? kind.last : toText === undefined ? from : numberIn(toText, kind);
  if (typeof from === "string") return from;
  if (typeof to === "string") return to;
  if (from > to) {
    const turned = [
      from === kind.last ? from : `${from}-${kind.last}`,
      to === kind.first ? to : `${kind.first}-${to}`,
    ];
    return `runs backwards; write ${turned.join(",")}`;
  }
  if (stepText === undefined) {
    return { form: any ? "any" : toText === undefined ? "number" : "range", values: numbers(from, to, 1) };
  }
  if (!any && toText === undefined) return `a step needs a range before it, ${from}-${kind.last}/${stepText}`;
  const step = /^\d+$/.test(stepText) ? Number(stepText) : 0;
  if (step < 1) return `the step ${stepText} is no number from 1 on`;
  return { form: any && step === 1 ? "any" : "step", values: numbers(from, to, step) };
}

function numberIn(text: string, { first, last, names = [] }: FieldKind): number | string {
  const named = names.indexOf(text.toUpperCase());
  if (named >= 0) return first + named;
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= first && number <= last) return number;
  const orNames = names.length === 0 ? "" : `, or ${names.at(0)} to ${names.at(-1)}`;
  return `${first} to ${last}${orNames}`;
}

function numbers(from: number, to: number, step: number): readonly number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);
}

function sorted(values: ReadonlySet<number>): readonly number[] {
  return [...values].sort((a, b) => a - b);
}
