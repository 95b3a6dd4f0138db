import { join } from "node:path";

import { gitMachineVariables } from "../core/machine-environment.ts";
import type { Settings } from "../core/settings.ts";
import type { KeySources } from "./open-secrets.ts";

/** The sources of the master key of a home folder, for a process with these variables. */
export function masterKeySources(
  home: string,
  variables: Readonly<Record<string, string | undefined>>,
  { secrets }: Pick<Settings, "secrets">,
): KeySources {
  return {
    variable: variables.BODYWORK_MASTER_KEY || undefined,
    previousVariable: variables.BODYWORK_PREVIOUS_MASTER_KEY || undefined,
    command: secrets.key_command,
    environment: gitMachineVariables(variables),
    folder: join(home, "keys"),
  };
}
