import type { CommandHandler } from "../command-spec.ts";
import { announceEngine, outputFormat, printResult } from "../output.ts";
import { printableText } from "../printable-text.ts";

/** `configure-cluster`: where there is no cluster, a home folder and its server are all there is to make ready. */
export const configureCluster: CommandHandler = async (input, { io, wiring }) => {
  await announceEngine(io, wiring);
  const control = await wiring.serverControl();
  const found = await control.status();
  const status = found.running ? found : await control.start({});
  await printResult(io, outputFormat(input), status, ({ home }) =>
    printableText(`There is no cluster to configure: ${home} is ready, and its server runs.\n`),
  );
  return 0;
};
