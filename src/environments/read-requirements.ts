import { Failure } from "../core/failure.ts";

/** What is to be installed, whoever installs it: requirements, and installer options in pip's words. */
export interface Requirements {
  /** One requirement each, as pip and uv read them in a file. May hold credentials (`git+https://token@…`). */
  readonly specs: readonly string[];
  readonly options: readonly InstallerOption[];
  /** Text of the requirements file; undefined when there is none. */
  readonly file: string | undefined;
}

/** `--extra-index-url URL` is `{ name: "extra-index-url", value: "URL" }`. */
export interface InstallerOption {
  readonly name: string;
  readonly value: string | undefined;
}

/**
 * Reads the items of `requirements:`, which are pip's arguments: `--extra-index-url URL` may be one item, two, or joined
 * by `=`. Fails with environment-failed for what an environment that is shared between commits and stages can't have:
 * files and folders of the repository, other requirements files, another place to install to.
 */
export function readRequirements(items: readonly string[], file: string | undefined): Requirements {
  const specs: string[] = [];
  const options: InstallerOption[] = [];
  const words = items.flatMap(wordsOfItem);
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] as string;
    if (!word.startsWith("-")) {
      specs.push(refuseLocalPath(word, "requirements"));
      continue;
    }
    const option = splitOption(word);
    const takesValue = valueOptions.has(option.name) && option.value === undefined;
    if (takesValue) index += 1;
    const whole = takesValue ? { name: option.name, value: words[index] } : option;
    if (whole.name === "editable") specs.push(refuseLocalPath(whole.value ?? "", "requirements"));
    else options.push(refuseOption(whole, "requirements"));
  }
  if (file !== undefined) refuseInFile(file);
  return { specs, options, file };
}

/** True when the file pins hashes: pip then demands them of every requirement in it. */
export function hasHashes(file: string | undefined): boolean {
  return file !== undefined && /^[^#]*\s--hash[= ]/m.test(file);
}

/** A requirement's bare name, as package indexes compare names; undefined for a bare URL. */
export function nameOfSpec(spec: string): string | undefined {
  const name = /^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?![A-Za-z0-9._:/+-])/.exec(spec)?.[1];
  return name?.toLowerCase().replace(/[-_.]+/g, "-");
}

/** Options of `pip install` that are followed by a value, by their long names. */
const valueOptions = new Set([
  ...["index-url", "extra-index-url", "find-links", "trusted-host", "cert", "client-cert", "proxy"],
  ...["no-binary", "only-binary", "requirement", "constraint", "editable", "target", "prefix", "root", "src"],
  ...["timeout", "retries", "upgrade-strategy", "progress-bar", "root-user-action", "exists-action", "log"],
  ...["cache-dir", "config-settings", "global-option", "build-option", "install-option", "use-feature"],
  ...["use-deprecated", "platform", "python-version", "implementation", "abi", "report", "keyring-provider"],
]);

const longNames: Readonly<Record<string, string>> = {
  "-i": "index-url",
  "--pypi-url": "index-url",
  "-f": "find-links",
  "-r": "requirement",
  "-c": "constraint",
  "-e": "editable",
  "-t": "target",
  "-C": "config-settings",
  "--config-setting": "config-settings",
  "-U": "upgrade",
  "-I": "ignore-installed",
  "-q": "quiet",
  "-v": "verbose",
};

function wordsOfItem(item: string): readonly string[] {
  const trimmed = item.trim();
  if (trimmed === "") return [];
  if (!trimmed.startsWith("-")) return [trimmed];
  const space = trimmed.search(/\s/);
  return space < 0 ? [trimmed] : [trimmed.slice(0, space), trimmed.slice(space).trim()];
}

function splitOption(word: string): InstallerOption {
  if (!word.startsWith("--")) {
    const short = word.slice(0, 2);
    const rest = word.slice(2).replace(/^=/, "");
    const name = longNames[short] ?? short.slice(1);
    return { name, value: rest === "" || !valueOptions.has(name) ? undefined : rest };
  }
  const equals = word.indexOf("=");
  const long = equals < 0 ? word : word.slice(0, equals);
  return { name: longNames[long] ?? long.slice(2), value: equals < 0 ? undefined : word.slice(equals + 1) };
}

const elsewhere = "An environment is shared by all stages that ask for the same, in a folder of our own.";
const inFile = "List the packages themselves, or name one complete file with requirements_file.";
const noLocal =
  "Publish it as a wheel or install it from Git (git+https://…); the repository's own modules can be imported without installing them.";

function refuseOption(option: InstallerOption, where: string): InstallerOption {
  const shown = `--${option.name}${option.value === undefined ? "" : ` ${option.value}`}`;
  if (option.name === "requirement" || option.name === "constraint") {
    throw refusal(`${where} has "${shown}", a file that the environment's key can't know.`, inFile);
  }
  if (["target", "prefix", "root", "src"].includes(option.name)) {
    throw refusal(`${where} has "${shown}", another place to install to.`, elsewhere);
  }
  if (option.name === "find-links" && !/^(\/|[A-Za-z][A-Za-z0-9+.-]*:\/)/.test(option.value ?? "")) {
    throw refusal(
      `${where} has "${shown}", a folder of the repository, whose content the environment's key can't know.`,
      noLocal,
    );
  }
  return option;
}

function refuseLocalPath(spec: string, where: string): string {
  const target = spec.includes("@ ") ? spec.slice(spec.indexOf("@ ") + 2).trim() : spec;
  const path = target.startsWith("file:") ? target.replace(/^file:(\/\/[^/]*)?/, "") : target;
  const isArchive = /\.(whl|tar\.gz|tgz|tar\.bz2|zip)(\[.*\])?$/.test(path);
  if (!isRelativePath(path) && !(path.startsWith("/") && !isArchive)) return spec;
  throw refusal(
    `${where} has "${spec}", a path whose content the environment's key can't know; an environment is shared between commits.`,
    noLocal,
  );
}

function isRelativePath(target: string): boolean {
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(target) || target.startsWith("/")) return false;
  if (target.startsWith(".") || target.startsWith("~")) return true;
  if (/^[^\s;[<>=!~@]+\.(whl|tar\.gz|tgz|tar\.bz2|zip)$/.test(target)) return true;
  return /^[A-Za-z0-9._-]+\/[^\s]*$/.test(target);
}

function refuseInFile(file: string): void {
  for (const line of file.replace(/\\\r?\n/g, " ").split(/\r?\n/)) {
    const text = line.replace(/(^|\s)#.*$/, "").trim();
    if (text === "") continue;
    if (!text.startsWith("-")) {
      refuseLocalPath(text.replace(/\s--\S.*$/, ""), "The requirements file");
      continue;
    }
    const [word = "", value] = wordsOfItem(text);
    const split = splitOption(word);
    const option = { name: split.name, value: split.value ?? value };
    if (option.name === "editable") refuseLocalPath(option.value ?? "", "The requirements file");
    else refuseOption(option, "The requirements file");
  }
}

function refusal(message: string, hint: string): Failure {
  return new Failure("environment-failed", message, { hint });
}
