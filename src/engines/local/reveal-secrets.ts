import { fileURLToPath } from "node:url";

import { Failure } from "../../core/failure.ts";
import type { TaskBase } from "../../core/run-state.ts";
import type { SecretReference } from "../../core/secret-state.ts";
import { isReservedVariable } from "../../core/stage-variables.ts";
import type { Secrets } from "../../ports/secrets.ts";
import type { ProcessSecrets } from "./processes/process-secrets.ts";

const masker = fileURLToPath(new URL("./mask_log.py", import.meta.url));

/** What Linux lets one variable have, its name and "=" and the NUL at its end included: execve(2), MAX_ARG_STRLEN. */
const mostBytes = 128 * 1024;

/**
 * The values of a task's secrets, for the process that is being started; undefined when it has none. They win over
 * every other variable, those of the machine and `HOST` and `PORT` included, for the user has named them for this stage.
 * Fails: stage-failed (a name that would take the ground from under the stage, or a value that no variable can have),
 * and as `reveal` does.
 */
export function revealSecrets(
  task: TaskBase & { readonly stage: { readonly name: string } },
  secrets: Pick<Secrets, "reveal">,
): ProcessSecrets | undefined {
  const references = Object.entries(task.secrets ?? {});
  if (references.length === 0) return undefined;
  for (const [variable] of references) checkName(variable, task.stage.name);
  const values = references.map(([variable, reference]): [string, string] => {
    const value = secrets.reveal(reference).reveal();
    checkValue(variable, value, reference);
    return [variable, value];
  });
  return { values: Object.fromEntries(values), python: task.environment.python, masker };
}

function checkName(variable: string, stage: string): void {
  const cannot = `Cannot start stage "${stage}" with a secret in the variable ${JSON.stringify(variable)}`;
  if (isReservedVariable(variable)) {
    throw new Failure("stage-failed", `${cannot}: that variable is Bodywork's or the system's own.`, {
      hint: `Give the key another name, in the secret and under "secrets" of the stage.`,
    });
  }
  if (!/^[^=\0]+$/.test(variable)) {
    throw new Failure("stage-failed", `${cannot}: no environment variable can have that name.`, {
      hint: `Give the key a name without "=", in the secret and under "secrets" of the stage.`,
    });
  }
}

function checkValue(variable: string, value: string, { group, name, key }: SecretReference): void {
  const cannot = `Cannot put the key "${key}" of the secret "${name}" in group "${group}" into an environment variable`;
  if (value.includes("\0")) {
    throw new Failure("stage-failed", `${cannot}: its value has a NUL character.`, {
      hint: "Store it in base64, and decode it in the stage.",
    });
  }
  const bytes = Buffer.byteLength(`${variable}=${value}\0`);
  if (bytes > mostBytes) {
    throw new Failure(
      "stage-failed",
      `${cannot}: with its name it is ${bytes} bytes long, and ${mostBytes} is the most.`,
      {
        hint: "Keep it in a file or a store of its own, and only the key to that in the secret.",
      },
    );
  }
}
