import { asFailure } from "../../core/failure.ts";
import type { CliIo } from "../cli-io.ts";
import type { CommandHandler } from "../command-spec.ts";
import { belowFailure } from "../explain-failure.ts";
import { watchForInterruption } from "../interruption.ts";
import { printableText } from "../printable-text.ts";

/**
 * `stage GIT_URL STAGE_NAME [TIMEOUT]` (hidden): one stage, here, in the foreground. Everything is said on standard output,
 * in the form of the original's log. 0 when the stage succeeded.
 */
export const stage: CommandHandler = async (input, { io, wiring }) => {
  const name = input.required("STAGE_NAME");
  const interruption = watchForInterruption(io, undefined);
  try {
    await wiring.runStageHere(
      {
        url: input.required("GIT_URL"),
        stage: name,
        branch: input.text("branch") || undefined,
        timeoutSeconds: Number(input.optional("TIMEOUT")),
        sshKey: wiring.environmentSshKey(),
        folder: io.workingFolder,
      },
      {
        log: (level, text) => {
          if (!io.quiet || level !== "INFO") logLine(io, level, text);
        },
        output: (text) => io.stdout.write(printableText(text)),
      },
      interruption.cancel,
    );
    return 0;
  } catch (error) {
    if (interruption.cancel.aborted) {
      io.stderr.write("Aborted!\n");
      return 1;
    }
    const failure = asFailure(error);
    if (failure.kind === "bug") throw error;
    logLine(io, "ERROR", `Stage ${name} failed - ${failure.message}`);
    for (const line of belowFailure(failure)) io.stdout.write(`${line}\n`);
    return 1;
  } finally {
    interruption.dispose();
  }
};

/** `[25/11/26 19:05:12] INFO     Starting stage = train …`: local time, the level padded to eight characters. */
function logLine(io: CliIo, level: "INFO" | "WARNING" | "ERROR", text: string): void {
  const now = new Date(io.now());
  const two = (value: number): string => String(value % 100).padStart(2, "0");
  const date = [now.getDate(), now.getMonth() + 1, now.getFullYear()].map(two).join("/");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(":");
  io.stdout.write(`[${date} ${time}] ${level.padEnd(8)} ${printableText(text)}\n`);
}
