# Runs one process of a stage and writes down how it ended. Started in a session of its own with the process's folder
# as the working folder; it outlives whoever started it.
#
#   sh shim.sh CLAIM GROUP UMASK FOLDER COMMAND...
#
# CLAIM   file to create before anything runs; when it is there already, somebody has given this start up
# GROUP   folder of a memory cgroup to run in, or empty
# UMASK   of the command, in octal, or empty for the shim's own, which its files have
# FOLDER  working folder of the command
#
# Its environment is the command's. Until that runs, only names that begin with BODYWORK_SHIM_ may be assigned to: any
# other could be in the environment, and the command would see our value. BODYWORK_SHIM_SET_0, _1, ... are assignments
# that a shell would drop or change on their way through; env makes them. When BODYWORK_SHIM_MASKED names variables that
# hold secrets (with commas between the names), what the command prints goes through a masker on its way to the log: the
# script BODYWORK_SHIM_MASKING runs the program BODYWORK_SHIM_MASKER with the Python BODYWORK_SHIM_PYTHON.

# Caught, not ignored: what is ignored stays so in the command.
trap : HUP INT QUIT TERM

exec 2>words
read -r BODYWORK_SHIM_STAT <"/proc/$$/stat" || BODYWORK_SHIM_STAT=$$
set -C
echo "$BODYWORK_SHIM_STAT" >"$1" || exit 0
set +C

# Two pipes without names: what the command prints (7 to 6), and whether it has ended (5 to 4).
if [ -n "${BODYWORK_SHIM_MASKED-}" ]; then
  if ! command -p mkfifo -m 600 printed ended; then
    echo "bodywork: cannot make the pipe in which the secrets are masked" >>log
    echo "exited 126 0 0 ." >exit
    exit
  fi
  # Opened both ways first, for to open one end waits for the other.
  exec 9<>printed 7>printed 6<printed 9<>ended 5>ended 4<ended 9>&-
  command -p rm printed ended
  (
    BODYWORK_SHIM_ROLE=masker
    export BODYWORK_SHIM_ROLE
    exec /bin/sh "$BODYWORK_SHIM_MASKING" "$BODYWORK_SHIM_PYTHON" "$BODYWORK_SHIM_MASKER" "$BODYWORK_SHIM_MASKED" \
      <&6 >>log 2>/dev/null 3<&4 4<&- 5>&- 6<&- 7>&-
  ) &
  exec 4<&- 6<&-
fi

# A shell says so in words when a signal has ended the command; the status alone is the same as that of `exit 137`. Not
# in the background: the command would ignore SIGINT for ever.
exec 2>words
(
  if [ -n "${BODYWORK_SHIM_MASKED-}" ]; then
    exec </dev/null >&7 2>&1 5>&- 7>&-
    unset BODYWORK_SHIM_MASKED BODYWORK_SHIM_MASKING BODYWORK_SHIM_MASKER BODYWORK_SHIM_PYTHON
  else
    exec </dev/null >>log 2>&1
  fi
  if [ -n "$2" ] && ! echo 0 >"$2/cgroup.procs"; then
    echo "bodywork: cannot put the program under its memory limit"
    exit 126
  fi
  if ! cd -P -- "$4" 2>/dev/null; then
    printf 'bodywork: cannot enter the working folder %s\n' "$4"
    exit 126
  fi
  [ -z "$3" ] || umask "$3"
  shift 4
  if ! command -v -- "$1" >/dev/null 2>&1; then
    printf 'bodywork: cannot find the program %s\n' "$1"
    exit 127
  fi
  # env would take a program with "=" in its path for an assignment.
  [ -z "${BASH_VERSION-}${BODYWORK_SHIM_SET_0+x}" ] || case $1 in *=*) set -- nice -n 0 "$@" ;; esac
  BODYWORK_SHIM_I=0
  while eval "[ -n \"\${BODYWORK_SHIM_SET_$BODYWORK_SHIM_I+x}\" ]"; do
    eval "set -- \"\$BODYWORK_SHIM_SET_$BODYWORK_SHIM_I\" \"\$@\""
    unset "BODYWORK_SHIM_SET_$BODYWORK_SHIM_I"
    BODYWORK_SHIM_I=$((BODYWORK_SHIM_I + 1))
  done
  if [ -n "${BASH_VERSION-}" ]; then
    set -- /usr/bin/env -u SHLVL -- "$@"
  elif [ "$BODYWORK_SHIM_I" -gt 0 ]; then
    set -- /usr/bin/env -- "$@"
  fi
  unset PWD OLDPWD SHLVL BODYWORK_SHIM_I BODYWORK_SHIM_STAT
  exec "$@"
)
status=$?

how=exited
# No shell says anything of SIGINT and SIGPIPE.
if [ "$status" -gt 128 ] && { [ -s words ] || [ "$status" = 130 ] || [ "$status" = 141 ]; }; then
  how=signalled
fi
# The log has everything before the end is told.
if [ -n "${BODYWORK_SHIM_MASKED-}" ]; then
  # Whoever reads it may have been killed.
  trap : PIPE
  echo ended >&5
  until wait; do :; done
fi
oom=0
if [ -n "$2" ]; then
  for file in memory.events memory.oom_control; do
    [ ! -r "$2/$file" ] || while read -r key value; do
      [ "$key" != oom_kill ] || oom=$value
    done <"$2/$file"
  done
fi
read -r uptime rest </proc/uptime || uptime=0
# One short write, and no reader takes it before its full stop: as good as a rename, without another process. When the
# disk is full, the end is told once it no longer is; when the claim is gone, so is everybody who wants to know.
until echo "$how $status $oom $uptime ." >exit || [ ! -e "$1" ]; do
  command -p sleep 1
done
