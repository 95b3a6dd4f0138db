/**
 * Names that a shell (dash, ash, bash) keeps for itself, or that would change how the shim itself runs. Bash's are from
 * its manual, "Shell Variables".
 */
const shellsOwn =
  /^(_|ENV|IFS|PWD|OLDPWD|CDPATH|SHLVL|SHELLOPTS|POSIXLY_CORRECT|BASH.*|PS\d|PPID|E?UID|GROUPS|DIRSTACK|FUNC.*|OPT(IND|ARG|ERR)|LINENO|S?RANDOM|SECONDS|EPOCH.*|HIST.*|MAIL.*|PIPESTATUS|TMOUT|GLOB.*|EXECIGNORE|MAPFILE|REPLY|COMP.*|COPROC|HOSTTYPE|MACHTYPE|OSTYPE|LD_.*|DYLD_.*|BODYWORK_SHIM_.*)$/;

/**
 * The environment for a shell that is to hand it on unchanged. What a shell would drop (`my-key`) or change (`PWD`) is
 * put into BODYWORK_SHIM_SET_0, _1, ... as `NAME=value`; the shim has `env` make these variables. There must be a PATH: busybox
 * adds its own where there is none.
 */
export function shellProof(environment: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(environment);
  const plain = entries.filter(([name]) => isSafe(name));
  const others = entries.filter(([name]) => !isSafe(name));
  return Object.fromEntries([
    ...plain,
    ...others.map(([name, value], index) => [`BODYWORK_SHIM_SET_${index}`, `${name}=${value}`]),
  ]);
}

/** Whether a shell hands a variable of this name on as it is. */
export function isSafe(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !shellsOwn.test(name);
}
