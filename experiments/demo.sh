#!/usr/bin/env bash
# From raw clips to a .tflite that names a sign, on generated clips: what `make demo` runs.
# Under eight minutes on two cores. Every step is a command that can be typed by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n\033[1m%s\033[0m\n$ %s\n' "$1" "${*:2}"; "${@:2}"; }

step "1. Raw clips become a store" \
    asl prepare data=synthetic
step "2. A handful of configured runs train" \
    asl train -m data=synthetic "split.test=[5,7]" model=lstm,bigru,transformer,cnn
step "3. MLflow compares them" \
    asl runs --data synthetic --limit 8
step "4. The best becomes a verified TFLite file" \
    asl export run=best data=synthetic export.dir=exports/demo
# Signer 7 is kept for the test, and left-handed.
clips=$(awk -F, '$2 == 7' data/raw/synthetic/train.csv | awk 'NR % 20 == 1')
step "5. The file names the sign in clips of a signer it never saw" \
    asl predict exports/demo/model_float16.tflite --top 3 \
    $(awk -F, '{print "data/raw/synthetic/" $1}' <<<"$clips")
printf 'what was signed: %s\n' "$(awk -F, '{printf sep $4; sep = ", "}' <<<"$clips")"

printf '\nNext: `.venv/bin/asl ui` opens the MLflow UI; README.md goes on from here.\n'
