import { processIo } from "./cli/process-io.ts";
import { runCli } from "./cli/run-cli.ts";
import { createWiring, terminalSettings } from "./wiring.ts";

const exitCode = await runCli(process.argv.slice(2), processIo(terminalSettings()), createWiring());
// A command may leave behind what would keep the process alive: a run that nobody follows any more, a connection.
process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
