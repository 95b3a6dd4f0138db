import { Failure } from "../../core/failure.ts";
import type { AccessToken, Scope } from "../../ports/access-store.ts";
import type { CommandHandler } from "../command-spec.ts";
import { time } from "../format.ts";
import { announceEngine, notice, outputFormat, printResult, table } from "../output.ts";

/** `server token create NAME`: the token alone on standard output; nobody can have it shown again. */
export const createToken: CommandHandler = async (input, { io, wiring }) => {
  const expires = input.text("expires") ?? "";
  const scopes: Scope[] = [input.text("scope") as Scope];
  if (input.flag("secrets-read")) scopes.push("secrets:read");
  const wanted = { name: input.required("NAME"), scopes, expiresInSeconds: secondsOf(expires) };
  await announceEngine(io, wiring);
  const { record, token } = await (await wiring.serverAdmin()).createToken(wanted);
  const until = record.expiresAt === undefined ? "never expires" : `expires ${time(record.expiresAt)}`;
  notice(io, "info", `Token ${record.id} of ${scopes.join(", ")} ${until}. It is not shown again:`);
  await printResult(
    io,
    outputFormat(input),
    { ...record, token: token.reveal() },
    (created) => `${created.token}\n`,
  );
  return 0;
};

/** `server token list`: all but what they are. */
export const listTokens: CommandHandler = async (input, { io, wiring }) => {
  const tokens = await (await wiring.serverAdmin()).tokens();
  await printResult(io, outputFormat(input), tokens, (found) =>
    found.length === 0
      ? "No tokens found\n"
      : table(io.stdout, {
          head: ["Id", "Name", "Scopes", "Created", "Expires", "Last Used"],
          rows: found.map((token) => row(token, io.now())),
        }),
  );
  return 0;
};

/** `server token revoke ID`. Fails: not-found, for who revokes wants to be sure that it is gone. */
export const revokeToken: CommandHandler = async (input, { io, wiring }) => {
  const id = input.required("ID");
  await announceEngine(io, wiring);
  const { found } = await (await wiring.serverAdmin()).revokeToken(id);
  if (!found) {
    throw new Failure("not-found", `There is no token ${id}.`, { hint: "bodywork server token list" });
  }
  await printResult(io, outputFormat(input), { id, revoked: true }, () => `Token ${id} is revoked.\n`);
  return 0;
};

/** `30d`, `12h`; undefined for `never`. */
function secondsOf(text: string): number | undefined {
  if (text === "never") return undefined;
  const [, count = "", unit] = /^([1-9]\d{0,5})([dh])$/.exec(text) ?? [];
  if (unit === undefined) {
    throw new Failure("usage", `Invalid value for '--expires': '${text}' is none of 30d, 12h, never.`);
  }
  return Number(count) * (unit === "d" ? 86_400 : 3_600);
}

function row({ id, name, scopes, createdAt, expiresAt, lastUsedAt }: AccessToken, now: number) {
  const expired = expiresAt !== undefined && Date.parse(expiresAt) <= now;
  return [
    id,
    name,
    scopes.join(", "),
    time(createdAt),
    `${time(expiresAt) || "never"}${expired ? " (expired)" : ""}`,
    time(lastUsedAt) || "never",
  ];
}
