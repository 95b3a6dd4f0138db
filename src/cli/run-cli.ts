import type { CliIo, CliWiring } from "./cli-io.ts";
import type { ReadCommand } from "./read-command-line.ts";

/**
 * The whole command line: arguments in, exit code out (0 done, 1 failed or refused, 2 wrong usage, 130 when a second
 * Ctrl-C left a run to itself). Never throws. Loads only what the command needs: `version` next to nothing.
 */
export async function runCli(argv: readonly string[], io: CliIo, wiring: CliWiring): Promise<number> {
  if (argv.length === 1 && (argv[0] === "version" || argv[0] === "--version"))
    return printVersion(io, wiring);
  try {
    if (argv[0] === "complete" && argv[1] === "--") {
      const { completeWords } = await import("./completion.ts");
      io.stdout.write(completeWords(argv.slice(2)));
      return 0;
    }
    const { readCommandLine } = await import("./read-command-line.ts");
    const read = readCommandLine(argv, io.stdout.isTerminal ? io.columns : undefined);
    switch (read.kind) {
      case "help":
        io.stdout.write(read.text);
        return 0;
      case "version":
        return printVersion(io, wiring);
      case "usage-error": {
        const { printableText } = await import("./printable-text.ts");
        io.stderr.write(printableText(read.text));
        return 2;
      }
      case "command": {
        return await runCommand(read, { ...io, quiet: read.input.flag("quiet") }, wiring);
      }
    }
  } catch (error) {
    const { explainFailure } = await import("./explain-failure.ts");
    const { lines, exitCode } = explainFailure(error, { debug: io.debug, version: wiring.version });
    io.stderr.write(`${lines.join("\n")}\n`);
    return exitCode;
  }
}

async function runCommand(read: ReadCommand, io: CliIo, wiring: CliWiring): Promise<number> {
  const { server, token, engine } = read.connection;
  if (server !== undefined || token !== undefined || engine !== undefined) wiring.use(read.connection);
  if (token !== undefined) {
    const { notice } = await import("./output.ts");
    notice(
      io,
      "info",
      "Others on this machine can see --token while the command runs; BODYWORK_TOKEN they can't.",
    );
  }
  const handler = await read.spec.load();
  try {
    if (onlyLooks(read)) await tellShownInstead(io, wiring);
    const exitCode = await handler(read.input, { io, wiring });
    // A second Ctrl-C (130) leaves at once: whoever comes next ends what is unfinished.
    if (exitCode !== 130) await wiring.finish();
    return exitCode;
  } catch (error) {
    await printFailureRecord(error, read, io);
    await wiring.finish().catch(() => {});
    throw error;
  }
}

/** Shows what an engine holds. */
function onlyLooks({ spec: { words } }: ReadCommand): boolean {
  return words[0] === "get" || words[0] === "logs";
}

async function tellShownInstead(io: CliIo, wiring: CliWiring): Promise<void> {
  const text = await wiring.shownInstead();
  if (text === undefined) return;
  const { notice } = await import("./output.ts");
  notice(io, "info", text);
}

/** With `--output json` or `yaml` a program reads standard output: it finds the failure's code there. */
async function printFailureRecord(error: unknown, { spec, input }: ReadCommand, io: CliIo): Promise<void> {
  if (!spec.options.some(({ name }) => name === "output")) return;
  const [{ outputFormat, recordText }, { failureRecord }] = await Promise.all([
    import("./output.ts"),
    import("./explain-failure.ts"),
  ]);
  const format = outputFormat(input);
  if (format !== "table") io.stdout.write(await recordText(format, failureRecord(error)));
}

function printVersion(io: CliIo, wiring: CliWiring): number {
  io.stdout.write(`${wiring.version}\n`);
  return 0;
}
