/**
 * What of the machine's environment is handed on, by name. Everything else (tokens of a CI job, settings of other
 * tools, our own variables) stays where it is.
 */

const forStages = [
  "PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR",
  "(?:HTTP|HTTPS|ALL|NO)_PROXY|(?:http|https|all|no)_proxy",
  "SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE",
];

const forGit = [...forStages, "SSH_AUTH_SOCK|GIT_SSL_CAINFO|GIT_SSL_CAPATH|XDG_CONFIG_HOME"];

const forInstallers = [
  ...forGit,
  "SHELL|XDG_[A-Z]+_HOME|NETRC|FTP_PROXY|ftp_proxy|SSL_CLIENT_CERT|GIT_SSH|GIT_SSH_COMMAND",
  "CC|CXX|CFLAGS|CXXFLAGS|CPPFLAGS|LDFLAGS|LD_LIBRARY_PATH|PKG_CONFIG_PATH|CUDA_HOME|CARGO_HOME|RUSTUP_HOME",
  "PYENV_ROOT|PYENV_VERSION|PIP_[A-Z0-9_]+|UV_[A-Z0-9_]+",
];

type Variables = Readonly<Record<string, string | undefined>>;

/** For the stages' processes. */
export function stageMachineVariables(environment: Variables): Record<string, string> {
  return chosen(environment, forStages);
}

/** For git and what it starts. */
export function gitMachineVariables(environment: Variables): Record<string, string> {
  return chosen(environment, forGit);
}

/** For the installers of Python packages and the compilers that they start, which have settings of their own there. */
export function installerMachineVariables(environment: Variables): Record<string, string> {
  return chosen(environment, forInstallers);
}

function chosen(environment: Variables, names: readonly string[]): Record<string, string> {
  const wanted = new RegExp(`^(?:${names.join("|")})$`);
  return Object.fromEntries(
    Object.entries(environment).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && wanted.test(entry[0]),
    ),
  );
}
