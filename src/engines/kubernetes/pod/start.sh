#!/bin/sh
# The first process of a stage's container: hands over to run_stage.py, by the image's own Python.

program=$(dirname "$0")

for python in python3 python; do
  if "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 7))' >/dev/null 2>&1; then
    exec "$python" -I -u "$program/run_stage.py"
  fi
done

reason="the image has no Python 3.7 or newer: neither python3 nor python on PATH ($PATH) is one"
reason="$reason. Name an image with Python in pipeline.docker_image"
echo "[$(date '+%d/%m/%y %H:%M:%S')] ERROR    Stage ${2:-} failed - $reason"
# What is in PATH may have to be spelled in another way in JSON.
said=$(printf '%s' "$reason" | tr -d '\000-\037' | sed 's/[\\"]/\\&/g')
printf '{"status":"failed","reason":"%s","phase":"requirements"}' "$said" \
  >"${BODYWORK_TERMINATION_LOG:-/dev/termination-log}"
exit 1
