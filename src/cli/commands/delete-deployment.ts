import { asFailure, Failure } from "../../core/failure.ts";
import type { CommandContext, CommandHandler, CommandInput } from "../command-spec.ts";
import { mayDelete } from "../confirm.ts";
import { announceEngine, notice, outputFormat, printResult, tellCancelled } from "../output.ts";
import { printableText } from "../printable-text.ts";

/**
 * `delete deployment NAME [SERVICE]`: all of it, or one service; with `--async` a job. What is not there is no failure, as
 * in the original.
 */
export const deleteDeployment: CommandHandler = async (input, context) => {
  const { io, wiring } = context;
  const name = input.required("NAME");
  const service = input.optional("SERVICE");
  if (input.flag("async") && service !== undefined) {
    throw new Failure("usage", `Cannot delete service "${service}" of a job: a job has none.`, {
      hint: "Leave out --async, or the service.",
    });
  }
  await announceEngine(io, wiring, input.flag("async") ? undefined : name);
  if (input.flag("async")) return deleteJob(name, input, context);
  if (service !== undefined) return deleteService(name, service, input, context);
  if (!(await mayDelete(`deployment ${name} with its services, routes, runs and files`, input, io))) return 1;
  const { found } = await (await wiring.operations()).deleteDeployment(name);
  await printResult(io, outputFormat(input), { deployment: name, found }, () =>
    printableText(found ? `deployment=${name} deleted.\n` : `deployment=${name} could not be found\n`),
  );
  return 0;
};

async function deleteJob(
  named: string,
  input: CommandInput,
  { io, wiring }: CommandContext,
): Promise<number> {
  if (!(await mayDelete(`workflow-job ${named} with its runs and logs`, input, io))) return 1;
  const { found, id = named, cancelled = [] } = await (await wiring.operations()).deleteJob(named);
  await printResult(io, outputFormat(input), { job: id, found, cancelled }, () =>
    printableText(found ? `Deleted workflow-job=${id}\n` : `Could not find workflow-job=${id}\n`),
  );
  tellCancelled(cancelled, io);
  return 0;
}

async function deleteService(
  deployment: string,
  service: string,
  input: CommandInput,
  { io, wiring }: CommandContext,
): Promise<number> {
  if (!(await mayDelete(`service ${service} of deployment ${deployment}, with its route`, input, io)))
    return 1;
  const operations = await wiring.operations();
  const deleted = await operations.deleteService(deployment, service).catch((error: unknown) => {
    const failure = asFailure(error);
    if (failure.code !== "not-found") throw failure;
    if (failure.hint !== undefined) notice(io, "info", failure.hint);
    return undefined;
  });
  const found = deleted !== undefined;
  await printResult(
    io,
    outputFormat(input),
    { deployment, service: deleted?.name ?? service, found },
    (record) =>
      printableText(found ? `Deleted service=${record.service}\n` : `Could not find service=${service}\n`),
  );
  if (found) notice(io, "info", `The next deployment of ${deployment} brings it back.`);
  return 0;
}

/** Asks a person, unless `--yes`. */
