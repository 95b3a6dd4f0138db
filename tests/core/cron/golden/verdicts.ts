/**
 * Schedules that Bodywork 3 was given, what it said of them, and what is said now. Where the two differ the reason is one
 * of those below.
 */

export interface Verdict {
  readonly schedule: string;
  readonly before: "taken" | "refused";
  readonly now: "taken" | "refused";
  readonly why?: keyof typeof reasons;
}

export const reasons = {
  kubernetes: "Kubernetes takes it, so it was only the check before that stood in the way",
  never: "Kubernetes refuses it: it was taken, and no run ever came",
} as const;

const unchanged = (before: Verdict["before"], schedules: readonly string[]): readonly Verdict[] =>
  schedules.map((schedule) => ({ schedule, before, now: before }));

const changed = (
  before: Verdict["before"],
  why: keyof typeof reasons,
  schedules: readonly string[],
): readonly Verdict[] =>
  schedules.map((schedule) => ({ schedule, before, now: before === "taken" ? "refused" : "taken", why }));

export const verdicts: readonly Verdict[] = [
  ...unchanged("taken", [
    "* * * * *",
    "0 * * * *",
    "0,30 * * * *",
    "0,0 1 * * *",
    "0, * * * *",
    "*/5 * * * *",
    "*/59 * * * *",
    "0-30/5 * * * *",
    "1-5 * * * *",
    "* 23 * * *",
    "* 0-23 * * *",
    "* */2 * * *",
    "* 1,2 * * *",
    "0 10 * * *",
    "0 19 * * *",
    "0 20 * * *",
    "* * 31 * *",
    "* * */2 * *",
    "0 0 29-31 * *",
    "* * * 12 *",
    "* * * */3 *",
    "0 0 10 10 *",
    "* * * * 0",
    "* * * * 6",
    "* * * * 1-5",
    "* * * * 0,6",
    "* * * * */2",
    "0 0 * * 1-5/2",
    "0 0 1 1 0",
  ]),
  ...unchanged("refused", [
    "",
    "* * * *",
    "* * * * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 32 * *",
    "* * * 13 *",
    "* * * * 7",
    "5/10 * * * *",
    "L * * * *",
  ]),
  ...changed("refused", "kubernetes", [
    "00 * * * *",
    "05 * * * *",
    "* 09 * * *",
    "*  * * * *",
    " * * * * *",
    "0\t* * * *",
    "1-5,10 * * * *",
    "1,2-4 * * * *",
    "*/60 * * * *",
    "0 */24 * * *",
    "* * * JAN *",
    "* * * * MON",
    "? * * * *",
    "@daily",
    "@hourly",
  ]),
  ...changed("taken", "never", ["* * 0 * *", "* * * 0 *", "30-10 * * * *", "*/0 * * * *"]),
];

/** What the original's own tests hold to be wrong, in each field. */
export const alwaysWrong: readonly string[] = [
  "0 0 1 1",
  ...["60", "x", "5/5", "0,15,30/5", "15-45-45", "15-30-45", "15,30,30-45"].map(
    (minute) => `${minute} 0 1 1 0`,
  ),
  ...["24", "x", "5/5", "0,6,12/5", "6-12-12", "6-12-18", "6,12,12-18"].map((hour) => `0 ${hour} 1 1 0`),
  ...["32", "x", "5/5", "1,10,20/5", "10-20-20", "10-20-30", "10,20,20-30"].map((day) => `0 0 ${day} 1 0`),
  ...["13", "x", "5/5", "1,4,8/2", "4-8-8", "4-8-12", "4,8,8-12"].map((month) => `0 0 1 ${month} 0`),
  ...["7", "x", "5/5", "0,2,4/2", "2-4-4", "2-4-6", "2,4,4-6"].map((weekday) => `0 0 1 1 ${weekday}`),
];
