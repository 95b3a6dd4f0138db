import { fileURLToPath } from "node:url";

import { isSafe, shellProof } from "./shell-proof.ts";

/** Secrets of a program: in its environment, where they win, and nowhere else; masked in its log. */
export interface ProcessSecrets {
  /** Variable → value. Neither has a NUL; names are not empty and have no "=". */
  readonly values: Readonly<Record<string, string>>;
  /** The Python, 3.7 or newer, that masks them: absolute, or to be found in the program's PATH. */
  readonly python: string;
  /** Absolute path of mask_log.py. */
  readonly masker: string;
}

const maskingScript = fileURLToPath(new URL("./keep-masking.sh", import.meta.url));
const variablesProgram = fileURLToPath(new URL("./set_variables.py", import.meta.url));

/**
 * The environment for the shim, and what goes right before the command. Names that a shell would drop or change reach
 * the command by a program that sets them (set_variables.py): for other variables the shim has `env` do that, whose
 * command line anybody may read.
 */
export function withSecrets(
  env: Readonly<Record<string, string>>,
  secrets: ProcessSecrets | undefined,
): { readonly variables: Record<string, string>; readonly prefix: readonly string[] } {
  if (secrets === undefined) return { variables: shellProof(env), prefix: [] };
  const { values, python, masker } = secrets;
  const others = Object.entries(env).filter(([name]) => !Object.hasOwn(values, name));
  const [plain, held] = split(Object.entries(values), ([name]) => isKept(name));
  const [rest, heldToo] = split(others, ([name]) => held.length === 0 || name !== "LC_CTYPE");
  const [prefix, heldVariables] = setBefore([...held, ...heldToo], python);
  return {
    variables: {
      ...shellProof(Object.fromEntries(rest)),
      ...Object.fromEntries(plain),
      ...heldVariables,
      BODYWORK_SHIM_MASKED: [...plain.map(([name]) => name), ...held.map((_, index) => heldAs(index))].join(
        ",",
      ),
      BODYWORK_SHIM_MASKING: maskingScript,
      BODYWORK_SHIM_MASKER: masker,
      BODYWORK_SHIM_PYTHON: python,
    },
    prefix,
  };
}

/** Python itself sets LC_CTYPE as it starts in the C locale: PEP 538. */
function isKept(name: string): boolean {
  return isSafe(name) && name !== "LC_CTYPE";
}

type Variable = readonly [name: string, value: string];

function setBefore(
  held: readonly Variable[],
  python: string,
): readonly [prefix: readonly string[], variables: Record<string, string>] {
  if (held.length === 0) return [[], {}];
  const names = held.map(([name]) => name);
  return [
    [python, "-I", "-S", variablesProgram, String(held.length), ...names],
    Object.fromEntries(held.map(([, value], index) => [heldAs(index), value])),
  ];
}

function heldAs(index: number): string {
  return `BODYWORK_HELD_${index}`;
}

function split<T>(all: readonly T[], isFirst: (one: T) => boolean): readonly [readonly T[], readonly T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}
