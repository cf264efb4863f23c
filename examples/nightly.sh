#!/bin/sh
# nightly.sh GENERATED REAL HISTORY.jsonl: score the images of the night, keep the result, and fail above a FID of 12.5.
set -e
fid=$(fastfid "$1" "$2" --cache --quiet --json | tee -a "$3" | python3 -c 'import json, sys; print(json.load(sys.stdin)["fid"])')
awk "BEGIN { print \"FID $fid\"; exit !($fid <= 12.5) }"
