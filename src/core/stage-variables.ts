/** The variable that tells a stage where to put an output: `raw-model` → `BODYWORK_OUTPUT_RAW_MODEL`. */
export function outputVariable(name: string): string {
  return `BODYWORK_OUTPUT_${name.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`;
}
