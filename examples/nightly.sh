#!/bin/sh
# nightly.sh GENERATED REAL LIMIT [FLAGS...]: exit status 3 if the FID is above LIMIT; see docs/gate.md.
set -eu; generated=$1 real=$2 limit=$3; shift 3
set -- "$generated" "$real" --cache --fail-above "$limit" --append history.jsonl --junit fid.xml "$@"
status=0; fastfid "$@" || status=$?
[ ! -e history.jsonl ] || fastfid history history.jsonl --plot history.svg
exit $status
