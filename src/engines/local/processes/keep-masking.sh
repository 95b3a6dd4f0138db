# Keeps mask_log.py running, whatever becomes of it: what it reads from stays open meanwhile, so that the program that
# writes there is neither ended nor stopped for long. Ends when it ends well.
#
#   sh keep-masking.sh PYTHON MASK_LOG NAMES
#
# Standard input, standard output and descriptor 3 are as mask_log.py wants them. Variables are the secrets' own: only
# names that begin with BODYWORK_SHIM_ may be assigned to.

# What is asked to end is the program; that this one is at its end is told through descriptor 3.
trap '' HUP INT QUIT TERM

BODYWORK_SHIM_FAILURES=0
until "$1" -I -S "$2" "$3" ${4+"$4"}; do
  # Above 128 a signal has ended it, which says nothing about the next one.
  [ $? -gt 128 ] || BODYWORK_SHIM_FAILURES=$((BODYWORK_SHIM_FAILURES + 1))
  if [ "$BODYWORK_SHIM_FAILURES" -ge 5 ]; then
    printf '\n[bodywork: the log ends here: the secrets in it cannot be masked]\n'
    # In the background standard input would be empty.
    exec 4<&0
    command -p cat <&4 >/dev/null &
    # Empty when the shim was killed: then it goes on for as long as there is somebody who writes.
    read -r BODYWORK_SHIM_OVER <&3
    [ -z "$BODYWORK_SHIM_OVER" ] || kill -KILL "$!"
    wait
    exit
  fi
  set -- "$1" "$2" "$3" again
done
