#!/bin/sh -eu
# nightly.sh GENERATED REAL LIMIT [FLAGS...]: exit status 3 if the FID is above LIMIT; see docs/gate.md.
generated=$1 real=$2 limit=$3; shift 3
[ -e real.npz ] || fastfid --save-stats "$real" real.npz "$@"
status=0; fastfid "$generated" real.npz --fail-above "$limit" --append history.jsonl --junit fid.xml "$@" || status=$?
[ ! -e history.jsonl ] || fastfid history history.jsonl --plot history.svg
exit $status
