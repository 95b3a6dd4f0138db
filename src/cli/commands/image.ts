import { Failure } from "../../core/failure.ts";
import type { ImageOrder, ImageTool, MadeImage } from "../../ports/image-tool.ts";
import type { CommandContext, CommandHandler, CommandInput } from "../command-spec.ts";
import { notice, outputFormat, printResult } from "../output.ts";
import { printableText } from "../printable-text.ts";

/** `image build`. */
export const buildImage: CommandHandler = (input, context) =>
  make("Built", input, context, (tool, order) =>
    tool.build({ ...order, platform: input.text("platform") || undefined }),
  );

/** `image push`. */
export const pushImage: CommandHandler = (input, context) =>
  make("Pushed", input, context, (tool, order) => tool.push(order));

async function make(
  done: "Built" | "Pushed",
  input: CommandInput,
  { io, wiring }: CommandContext,
  act: (tool: ImageTool, order: Omit<ImageOrder, "platform">) => Promise<MadeImage>,
): Promise<number> {
  const stop = new AbortController();
  const removers = (["SIGINT", "SIGTERM"] as const).map((signal) =>
    io.onSignal(signal, () => stop.abort(new Failure("cancelled", `Stopped by ${signal}.`))),
  );
  try {
    const made = await act(await wiring.imageTool(), {
      tag: input.text("tag") || undefined,
      onOutput: (text) => {
        if (!io.quiet) io.stderr.write(printableText(text));
      },
      signal: stop.signal,
    });
    await printResult(io, outputFormat(input), made, ({ image, program }) =>
      printableText(`${done} image=${image} (by ${program})\n`),
    );
    if (done === "Pushed") {
      notice(io, "info", `Cronjobs and --async use it when the setting kubernetes.image is ${made.image}`);
    }
    return 0;
  } finally {
    for (const remove of removers) remove();
  }
}
