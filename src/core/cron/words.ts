import cronstrue from "cronstrue";
import { parseSchedule, type Schedule } from "./parse-schedule.ts";

/** The schedule as a sentence, in the 24-hour clock: `At 03:15, every day`. A text that is no schedule is returned as it is. */
export function scheduleInWords(text: string): string {
  const { schedule } = parseSchedule(text);
  if (schedule === undefined) return text;
  return cronstrue.toString(plainFields(schedule), {
    use24HourTimeFormat: true,
    // Else `15 3 * * *` is only "At 03:15"; but "Every hour, every day" says nothing more.
    verbose: schedule.hours.length < 24,
  });
}

/** As few signs as say the same: cronstrue knows no `?`, and reads repeated numbers and uneven steps out as they are. */
function plainFields({ fields, minutes, hours }: Schedule): string {
  const [minute, hour, ...days] = fields.map((field) =>
    field.replaceAll("?", "*").replace(/,+/g, ",").replace(/^,|,$/g, ""),
  );
  return [plain(minute, minutes, 60), plain(hour, hours, 24), ...days].join(" ");
}

function plain(field: string | undefined, values: readonly number[], count: number): string | undefined {
  if (values.length === count) return "*";
  const step = /^\*\/(\d+)$/.exec(field ?? "")?.[1];
  const isUneven = step !== undefined && (count % Number(step) !== 0 || values.length === 1);
  return isUneven || /^[\d,]+$/.test(field ?? "") ? values.join(",") : field;
}

/**
 * A warning when the name says one rhythm and the schedule keeps another (`daily-train` at `0 * * * *`): in words, with
 * what was perhaps meant. Undefined when the name says nothing of a rhythm, or they agree.
 */
export function nameDisagrees(name: string, schedule: Schedule): string | undefined {
  const parts = `-${name
    .toLowerCase()
    .split(/[^a-z]+/)
    .join("-")}-`;
  const said = rhythms.find(({ words }) => words.some((word) => parts.includes(`-${word}-`)));
  if (said === undefined || said.isKeptBy(schedule)) return undefined;
  const words = scheduleInWords(schedule.text);
  const fires = `${words.charAt(0).toLowerCase()}${words.slice(1)}`;
  return `"${name}" fires ${fires} (${schedule.text}): did you mean "${said.meant(schedule)}"?`;
}

interface Rhythm {
  readonly words: readonly string[];
  isKeptBy(schedule: Schedule): boolean;
  /** The schedule that keeps it, with as much of the given one as fits. */
  meant(schedule: Schedule): string;
}

const rhythms: readonly Rhythm[] = [
  {
    words: ["hourly", "every-hour"],
    isKeptBy: ({ minutes, hours }) =>
      minutes.length === 1 && hours.length > 1 && (hours.at(-1) ?? 0) - (hours[0] ?? 0) === hours.length - 1,
    meant: ({ minutes }) => `${minutes[0]} * * * *`,
  },
  {
    // A working day is a day too.
    words: ["daily", "nightly", "everyday", "every-day", "every-night"],
    isKeptBy: (schedule) =>
      isOnceADay(schedule) && schedule.daysOfMonth.size === 31 && schedule.daysOfWeek.size >= 5,
    meant: (schedule) => `${timeOfDay(schedule)} * * *`,
  },
  {
    words: ["weekly", "every-week"],
    isKeptBy: (schedule) =>
      isOnceADay(schedule) && schedule.daysOfMonth.size === 31 && schedule.daysOfWeek.size === 1,
    meant: (schedule) => `${timeOfDay(schedule)} * * ${onlyOf(schedule.daysOfWeek) ?? 0}`,
  },
  {
    words: ["monthly", "every-month"],
    isKeptBy: (schedule) =>
      isOnceADay(schedule) &&
      schedule.months.size === 12 &&
      schedule.daysOfMonth.size === 1 &&
      schedule.daysOfWeek.size === 7,
    meant: (schedule) => `${timeOfDay(schedule)} ${onlyOf(schedule.daysOfMonth) ?? 1} * *`,
  },
  {
    words: ["yearly", "annually", "every-year"],
    isKeptBy: (schedule) =>
      isOnceADay(schedule) && schedule.months.size === 1 && schedule.daysOfMonth.size === 1,
    meant: (schedule) =>
      `${timeOfDay(schedule)} ${onlyOf(schedule.daysOfMonth) ?? 1} ${onlyOf(schedule.months) ?? 1} *`,
  },
];

function isOnceADay({ minutes, hours }: Schedule): boolean {
  return minutes.length === 1 && hours.length === 1;
}

/** Midnight when there are several: at which of them is not known. */
function timeOfDay({ minutes, hours }: Schedule): string {
  return `${minutes[0]} ${hours.length === 1 ? hours[0] : 0}`;
}

function onlyOf(values: ReadonlySet<number>): number | undefined {
  return values.size === 1 ? [...values][0] : undefined;
}
