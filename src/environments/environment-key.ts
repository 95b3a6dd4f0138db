import { createHash } from "node:crypto";
import { textIfThere } from "../lib/read-if-there.ts";
import type { EnvironmentRequest } from "../ports/environments.ts";
import type { Interpreter } from "./choose-python.ts";
import type { InstallerOption } from "./read-requirements.ts";
import { redact } from "./redact.ts";

/** Raised when environments are made in another way, so that old ones are no longer found. */
const format = 1;

/**
 * The hex digest of all that decides what is in an environment: what is asked for, the interpreter, the platform, and
 * where the machine takes packages from. Passwords in addresses are left out, and how the machine gets to them: a new
 * token or another proxy is not a new environment.
 */
export function environmentKey(
  request: EnvironmentRequest,
  interpreter: Interpreter,
  sources: {
    readonly pip: readonly InstallerOption[];
    readonly variables: Readonly<Record<string, string>>;
  },
): string {
  const uv = Object.entries(sources.variables).filter(([name]) => decisive.test(name));
  const content = {
    format,
    requirements: normalised(request.requirements),
    requirementsFile:
      request.requirementsFile === undefined
        ? null
        : redact(request.requirementsFile.replaceAll("\r\n", "\n")),
    notebook: request.notebook,
    python: [interpreter.version, interpreter.executable],
    platform: [process.platform, process.arch],
    pip: sources.pip
      .filter(({ name }) => !connecting.has(name))
      .map(({ name, value = "" }) => [
        name,
        // What a file of constraints says; its address where it is none of this machine's.
        redact(name === "constraint" ? (textIfThere(value) ?? value) : value),
      ]),
    uv: uv.map(([name, value]) => [name, redact(value)]).sort(),
  };
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}

/** pip settings that say how to get to an index, not what is installed from it. */
const connecting = new Set(["cert", "client-cert", "proxy", "trusted-host", "keyring-provider"]);

const decisive =
  /^UV_(INDEX|DEFAULT_INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|INDEX_STRATEGY|PRERELEASE|RESOLUTION|EXCLUDE_NEWER|CONSTRAINT|OVERRIDE|NO_BINARY.*|NO_BUILD.*|TORCH_BACKEND|CONFIG_FILE)$/;

/** The order of requirements means nothing; that of options, and of what follows one, may. */
function normalised(requirements: readonly string[]): readonly string[] {
  const items = requirements
    .map((item) => item.trim())
    .filter((item) => item !== "")
    .map(redact);
  return items.some((item) => item.startsWith("-")) ? items : items.toSorted();
}
