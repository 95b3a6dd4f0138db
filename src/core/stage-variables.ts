/** The variable that tells a stage where to put an output: `raw-model` → `BODYWORK_OUTPUT_RAW_MODEL`. */
export function outputVariable(name: string): string {
  return `BODYWORK_OUTPUT_${variableName(name)}`;
}

/** The variable that tells a stage where an input is. */
export function inputVariable(name: string): string {
  return `BODYWORK_INPUT_${variableName(name)}`;
}

function variableName(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]/g, "_");
}

/**
 * Variables that no secret may be put into: what the engine has promised the stage, or finds its processes by; and what
 * decides which code runs, the stage's Python above all. The ssh key keeps the name that the original gave it.
 */
export function isReservedVariable(name: string): boolean {
  return /^(BODYWORK_(?!GIT_SSH_PRIVATE_KEY$).*|PATH|PYTHONPATH|PYTHONHOME|VIRTUAL_ENV|LD_.*|DYLD_.*)$/s.test(
    name,
  );
}
