#!/bin/sh
# `bodywork` and `bw` of the image. The first process of a container gets signals only if it asks for them, and orphans
# to look after: tini is that process then.
program=/usr/local/lib/bodywork/bin/bodywork.cjs
if [ $$ -eq 1 ]; then
  exec tini -- node "$program" "$@"
fi
exec node "$program" "$@"
