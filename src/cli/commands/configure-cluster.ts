import { Failure } from "../../core/failure.ts";
import type { CommandContext, CommandHandler, CommandInput } from "../command-spec.ts";
import { mayDelete } from "../confirm.ts";
import { announceEngine, noticeText, outputFormat, printResult, recordText } from "../output.ts";
import { printableText } from "../printable-text.ts";

/**
 * `configure-cluster`: what Bodywork needs in the cluster is made, or mended. Where there is no cluster, a home folder and
 * its server are all there is to make ready.
 */
export const configureCluster: CommandHandler = async (input, context) => {
  const { io, wiring } = context;
  const engine = await announceEngine(io, wiring);
  if (engine === "kubernetes") return configureKubernetes(input, context);
  if (input.flag("dry-run") || input.text("namespace")) throw noCluster("configure", engine);
  const control = await wiring.serverControl();
  const found = await control.status();
  const status = found.running ? found : await control.start({});
  await printResult(io, outputFormat(input), status, ({ home }) =>
    printableText(`There is no cluster to configure: ${home} is ready, and its server runs.\n`),
  );
  return 0;
};

async function configureKubernetes(input: CommandInput, { io, wiring }: CommandContext): Promise<number> {
  const dryRun = input.flag("dry-run");
  const admin = await wiring.clusterAdmin(input.text("namespace") || undefined);
  const configured = await admin.configure({ dryRun });
  const format = outputFormat(input);
  if (dryRun && format !== "json") {
    io.stdout.write(await manifestText(configured.objects));
    return 0;
  }
  await printResult(io, format, configured, ({ lines }) =>
    lines.map(({ level, text }) => noticeText(io.stdout, level, text)).join(""),
  );
  return 0;
}

/** `cluster remove`: the end of all that `configure-cluster` and deployments have made. */
export const removeCluster: CommandHandler = async (input, { io, wiring }) => {
  const engine = await announceEngine(io, wiring);
  if (engine !== "kubernetes") throw noCluster("remove Bodywork from", engine);
  const withDeployments = input.flag("with-deployments");
  const what = `all of Bodywork in the cluster: cronjobs, jobs, history and secrets${withDeployments ? ", and every deployment" : ""}`;
  if (!(await mayDelete(what, input, io))) return 1;
  const removed = await (await wiring.clusterAdmin(undefined)).remove({ withDeployments });
  await printResult(io, outputFormat(input), removed, (record) =>
    printableText(
      record.removed.length === 0
        ? "Nothing of Bodywork is in the cluster.\n"
        : record.removed.map((line) => `Removed ${line}\n`).join(""),
    ),
  );
  return 0;
};

/** As `kubectl apply` takes them: one document each. */
export async function manifestText(objects: readonly Readonly<Record<string, unknown>>[]): Promise<string> {
  const documents = await Promise.all(objects.map((object) => recordText("yaml", object)));
  return documents.map((text) => `---\n${text}`).join("");
}

function noCluster(doing: string, engine: string): Failure {
  return new Failure("usage", `Cannot ${doing} a cluster: the engine is ${engine}.`, {
    hint: "Choose the cluster with --engine kubernetes; KUBECONFIG says which.",
  });
}
