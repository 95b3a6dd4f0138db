import { existsSync } from "node:fs";
import { join } from "node:path";
import { textIfThere } from "../lib/read-if-there.ts";
import type { InstallerOption } from "./read-requirements.ts";

type Variables = Readonly<Record<string, string>>;

/** How uv is told what pip was told. What may hold a password goes by environment variables, never by arguments. */
export interface UvArguments {
  readonly args: readonly string[];
  readonly env: Variables;
  /** Options of the user's that uv has no word for: pip must do the work. */
  readonly unknown: readonly InstallerOption[];
}

/**
 * The machine's pip settings, then the user's options, in uv's words. uv's own variables and configuration files, where
 * they say where packages come from, win over the machine's pip settings, and a stage's options over both.
 *
 * With several indexes pip takes the best version of any; uv by default only looks at the first that has the name. We
 * take the first that has a version that fits: a private name cannot be taken over by a higher version elsewhere, and
 * what pip could install installs. `UV_INDEX_STRATEGY` decides otherwise.
 */
export function uvArguments(
  machinePip: readonly InstallerOption[],
  asked: readonly InstallerOption[],
  variables: Variables,
): UvArguments {
  const machine = machinePip.filter((option) => !isOverruled(option, variables) && isThere(option));
  const all = [...machine, ...asked];
  const env: Record<string, string> = { ...variables };
  for (const [name, rule] of Object.entries(byVariable)) {
    const values = all.flatMap((option) => (option.name === name ? [option.value ?? rule.value ?? ""] : []));
    if (values.length === 0) continue;
    const isList = rule.separator !== undefined;
    const before = isList && env[rule.variable] !== undefined ? [env[rule.variable] as string] : [];
    env[rule.variable] = isList ? [...before, ...values].join(rule.separator) : (values.at(-1) as string);
  }
  if (env.HTTPS_PROXY !== undefined && variables.HTTPS_PROXY === undefined) env.HTTP_PROXY = env.HTTPS_PROXY;
  env.UV_INDEX_STRATEGY ??= "unsafe-first-match";
  env.GIT_TERMINAL_PROMPT = "0";
  const args = all.flatMap((option) =>
    byFlag.has(option.name)
      ? [`--${option.name}`, ...(option.value === undefined ? [] : [option.value])]
      : [],
  );
  const unknown = asked.filter(
    ({ name }) => !(name in byVariable) && !byFlag.has(name) && !withoutEffect.has(name),
  );
  return { args, env, unknown };
}

interface VariableRule {
  readonly variable: string;
  /** Undefined when the last one wins. */
  readonly separator?: string;
  /** For options without one. */
  readonly value?: string;
}

const byVariable: Readonly<Record<string, VariableRule>> = {
  "index-url": { variable: "UV_DEFAULT_INDEX" },
  "extra-index-url": { variable: "UV_INDEX", separator: " " },
  "find-links": { variable: "UV_FIND_LINKS", separator: "," },
  "trusted-host": { variable: "UV_INSECURE_HOST", separator: " " },
  cert: { variable: "SSL_CERT_FILE" },
  "client-cert": { variable: "SSL_CLIENT_CERT" },
  proxy: { variable: "HTTPS_PROXY" },
  pre: { variable: "UV_PRERELEASE", value: "allow" },
  "keyring-provider": { variable: "UV_KEYRING_PROVIDER" },
  constraint: { variable: "UV_CONSTRAINT" },
};

const byFlag = new Set([
  "no-index",
  "no-binary",
  "only-binary",
  "no-deps",
  "require-hashes",
  "no-build-isolation",
]);

/** In a new environment these change nothing about what is installed. */
const withoutEffect = new Set([
  ...["upgrade", "upgrade-strategy", "ignore-installed", "force-reinstall", "quiet", "verbose", "user"],
  ...[
    "no-cache-dir",
    "cache-dir",
    "no-input",
    "no-color",
    "progress-bar",
    "no-warn-script-location",
    "timeout",
  ],
  ...["no-warn-conflicts", "no-python-version-warning", "disable-pip-version-check", "root-user-action"],
  ...["break-system-packages", "retries", "use-pep517", "compile", "no-compile", "exists-action", "isolated"],
]);

function isOverruled(option: InstallerOption, variables: Variables): boolean {
  const has = (...names: readonly string[]): boolean => names.some((name) => variables[name] !== undefined);
  switch (option.name) {
    case "index-url":
      return has("UV_DEFAULT_INDEX", "UV_INDEX_URL") || uvConfigurationNamesIndexes(variables);
    case "extra-index-url":
      return has("UV_INDEX", "UV_EXTRA_INDEX_URL") || uvConfigurationNamesIndexes(variables);
    case "proxy":
      return has("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy");
    default: {
      const variable = byVariable[option.name]?.variable;
      return variable !== undefined && has(variable);
    }
  }
}

/** pip warns of a folder or a file that is not there, uv gives up. */
function isThere(option: InstallerOption): boolean {
  const path = option.value ?? "";
  return (
    !(["find-links", "cert", "constraint"].includes(option.name) && path.startsWith("/")) || existsSync(path)
  );
}

function uvConfigurationNamesIndexes(variables: Variables): boolean {
  const user = variables.XDG_CONFIG_HOME ?? join(variables.HOME ?? "/nonexistent", ".config");
  const files = [variables.UV_CONFIG_FILE ?? join(user, "uv/uv.toml"), "/etc/uv/uv.toml"];
  const namesIndex = /^\s*(\[\[(pip\.)?index\]\]|(default-)?index|index-url)/m;
  return files.some((file) => namesIndex.test(textIfThere(file) ?? ""));
}
