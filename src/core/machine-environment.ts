/**
 * What of the machine's environment is handed on, by name. Everything else (tokens of a CI job, settings of other
 * tools, our own variables) stays where it is.
 */

const forStages = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "LANG",
  "LANGUAGE",
  "TZ",
  "TMPDIR",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "ALL_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "all_proxy",
  "no_proxy",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "REQUESTS_CA_BUNDLE",
  "CURL_CA_BUNDLE",
];

const forGit = [...forStages, "SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "XDG_CONFIG_HOME"];

type Variables = Readonly<Record<string, string | undefined>>;

/** For the stages' processes. */
export function stageMachineVariables(environment: Variables): Record<string, string> {
  return chosen(environment, (name) => forStages.includes(name) || name.startsWith("LC_"));
}

/** For git and what it starts. */
export function gitMachineVariables(environment: Variables): Record<string, string> {
  return chosen(environment, (name) => forGit.includes(name) || name.startsWith("LC_"));
}

/** For the installers of Python packages, which have settings of their own in the environment. */
export function installerMachineVariables(environment: Variables): Record<string, string> {
  return chosen(
    environment,
    (name) =>
      forGit.includes(name) ||
      name.startsWith("LC_") ||
      name.startsWith("UV_") ||
      name.startsWith("PIP_") ||
      name === "PYENV_ROOT" ||
      name === "XDG_CACHE_HOME" ||
      name === "XDG_DATA_HOME",
  );
}

function chosen(environment: Variables, wanted: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && wanted(entry[0]),
    ),
  );
}
