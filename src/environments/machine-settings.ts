import { join } from "node:path";
import { installerMachineVariables } from "../core/machine-environment.ts";
import { textIfThere } from "../lib/read-if-there.ts";
import type { InstallerOption } from "./read-requirements.ts";

type Variables = Readonly<Record<string, string>>;

/**
 * What a build may see of the machine's environment: where programs and caches are, proxies, certificates, compilers,
 * and pip's and uv's own settings, less those that would install elsewhere. No secret of a stage is ever among them.
 */
export function buildVariables(machine: Variables): Record<string, string> {
  return Object.fromEntries(
    Object.entries(installerMachineVariables(machine)).filter(([name]) => !redirecting.test(name)),
  );
}

/** The machine's pip settings as options: its files, the weaker first, then `PIP_…` variables. Starts no process. */
export function readPipSettings(machine: Variables): readonly InstallerOption[] {
  const settings = new Map<string, string>();
  for (const file of pipFiles(machine)) {
    const sections = readIni(file);
    for (const section of ["global", "install"]) {
      for (const [name, value] of sections.get(section) ?? []) settings.set(name, value);
    }
  }
  for (const [variable, value] of Object.entries(machine)) {
    if (!variable.startsWith("PIP_") || value === "") continue;
    settings.set(optionName(variable.slice("PIP_".length)), value);
  }
  return [...settings].flatMap(([name, value]) => optionsOf(name, value));
}

const redirecting =
  /^(PIP_(TARGET|PREFIX|ROOT|USER|REQUIREMENT|EDITABLE|SRC|LOG|REPORT|REQUIRE_VIRTUALENV|PYTHON|DRY_RUN)|UV_(PYTHON|SYSTEM_PYTHON|BREAK_SYSTEM_PACKAGES|TARGET|PREFIX|PROJECT|PROJECT_ENVIRONMENT|WORKING_DIR|WORKING_DIRECTORY|COMPILE_BYTECODE|REQUIREMENTS|DRY_RUN|LOCKED|FROZEN))$/;

/** In pip's own order; PIP_CONFIG_FILE replaces the user's files, and naming the null device switches files off. */
function pipFiles(machine: Variables): readonly string[] {
  const own = machine.PIP_CONFIG_FILE;
  if (own === "/dev/null") return [];
  const home = machine.HOME ?? "/nonexistent";
  const shared = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", "/Library/Application Support/pip/pip.conf"];
  const user = [
    join(home, ".pip/pip.conf"),
    join(machine.XDG_CONFIG_HOME ?? join(home, ".config"), "pip/pip.conf"),
    join(home, "Library/Application Support/pip/pip.conf"),
  ];
  return [...shared, ...(own === undefined || own === "" ? user : [own])];
}

function readIni(path: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  let section = new Map<string, string>();
  let last: string | undefined;
  for (const line of (textIfThere(path) ?? "").split(/\r?\n/)) {
    if (/^\s*([#;]|$)/.test(line)) continue;
    const header = /^\[([^\]]+)\]/.exec(line);
    const setting = /^([^\s=:][^=:]*?)\s*[=:]\s*(.*)$/.exec(line);
    if (header) {
      section = sections.get(header[1] as string) ?? new Map();
      sections.set(header[1] as string, section);
      last = undefined;
    } else if (/^\s/.test(line) && last !== undefined) {
      section.set(last, `${section.get(last) ?? ""}\n${line.trim()}`);
    } else if (setting) {
      last = optionName(setting[1] as string);
      section.set(last, (setting[2] as string).trim());
    }
  }
  return sections;
}

function optionName(text: string): string {
  return text.toLowerCase().replaceAll("_", "-");
}

const listSettings = new Set(["extra-index-url", "find-links", "trusted-host", "no-binary", "only-binary"]);
const switchSettings = new Set(["pre", "no-index", "require-hashes", "no-deps"]);
const singleSettings = new Set([
  ...["index-url", "cert", "client-cert", "proxy", "keyring-provider", "constraint"],
]);

/** Settings that do not bear on what is installed, or from where, are left to pip itself. */
function optionsOf(name: string, value: string): readonly InstallerOption[] {
  if (singleSettings.has(name)) return [{ name, value }];
  if (listSettings.has(name))
    return value.split(/\s+/).flatMap((one) => (one === "" ? [] : [{ name, value: one }]));
  if (switchSettings.has(name) && /^(1|y|yes|t|true|on)$/i.test(value)) return [{ name, value: undefined }];
  return [];
}
