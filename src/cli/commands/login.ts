import { resolve } from "node:path";

import { Failure } from "../../core/failure.ts";
import { SecretValue } from "../../core/secret-value.ts";
import type { CliIo } from "../cli-io.ts";
import type { CommandHandler, CommandInput } from "../command-spec.ts";
import { outputFormat, printResult } from "../output.ts";
import { printableText } from "../printable-text.ts";

/** `login URL`: commands go to that server from now on. */
export const login: CommandHandler = async (input, { io, wiring }) => {
  const caFile = input.text("ca-file");
  const wanted = {
    url: input.required("URL"),
    token: await tokenOf(input, io),
    caFile: caFile === undefined ? undefined : resolve(io.workingFolder, caFile),
    insecureHttp: input.flag("insecure-http"),
  };
  const done = await (await wiring.logins()).login(wanted);
  await printResult(io, outputFormat(input), done, ({ url, version }) =>
    printableText(`Commands go to ${url} from now on (Bodywork ${version ?? "of an unknown version"}).\n`),
  );
  return 0;
};

/** `logout`: commands go where they went before. */
export const logout: CommandHandler = async (input, { io, wiring }) => {
  const url = await (await wiring.logins()).logout();
  await printResult(io, outputFormat(input), { url }, () =>
    printableText(url === undefined ? "Not logged in\n" : `Logged out of ${url}\n`),
  );
  return 0;
};

async function tokenOf(input: CommandInput, io: CliIo): Promise<SecretValue> {
  const given = input.text("token");
  const typed = async (): Promise<string | undefined> => {
    if (input.flag("token-stdin")) return io.readInput();
    return io.canAsk ? io.askHidden("Token: ") : undefined;
  };
  const token = (given ?? (await typed()) ?? "").trim();
  if (token !== "") return new SecretValue(token);
  throw new Failure("usage", "There is no token to log in with.", {
    hint: "Give it on standard input: bodywork login URL --token-stdin < FILE",
  });
}
