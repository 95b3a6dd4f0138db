import { projectJsonSchema } from "../../core/json-schema.ts";
import type { CommandHandler } from "../command-spec.ts";
import { recordText } from "../output.ts";

/** `schema`. */
export const schema: CommandHandler = async (_input, { io }) => {
  io.stdout.write(await recordText("json", projectJsonSchema()));
  return 0;
};
