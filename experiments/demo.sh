#!/usr/bin/env bash
# From raw clips to a .tflite file that names a sign: what `make demo` runs.
# Real clips (words15) where they are at hand, else synthetic ones. Under ten minutes on two cores.
# Every step is a command that can be typed by itself; all results stay in this folder.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n\033[1m%s\033[0m\n$ %s\n' "$1" "${*:2}"; "${@:2}"; }

raw_folder() { python -c "from asl.paths import raw_data; print(raw_data('$1'))"; }

if [[ -f "$(raw_folder words15)/train.csv" ]]; then
    data=words15 test_signers=3 every=75
    clips_are="real clips: 15 ASL words (data=words15)"
else
    data=synthetic test_signers=5,7 every=11
    clips_are="SYNTHETIC clips, not recordings; \`asl download data=words15\` fetches real ones"
fi
raw=$(raw_folder "$data")
printf 'This demo runs on %s.\n' "$clips_are"

step "1. Raw clips become a store" \
    asl prepare data=$data
step "2. A sweep: one run for each of four networks" \
    asl train -m data=$data "split.test=[$test_signers]" trainer.max_epochs=30 \
    model=lstm,bigru,transformer,cnn
step "3. The runs side by side" \
    asl runs --data $data --limit 8
step "4. The best run becomes a verified TFLite file" \
    asl export run=best data=$data export.dir=exports/demo

# Some clips of a signer whom no run was trained on: lines "path,signer,sequence,sign".
unseen=$(tr -d '\r' < "$raw/train.csv" |
    awk -F, -v signer="${test_signers##*,}" -v every=$every '$2 == signer && ++n % every == 1')
model=exports/demo/model_float16.tflite
step "5. The file names the signs in clips of a signer it never saw" \
    asl predict $model --top 3 $(awk -F, -v raw="$raw" '{print raw "/" $1}' <<<"$unseen")
printf 'signed: %s\n' "$(awk -F, '{printf sep $4; sep = ", "}' <<<"$unseen")"

IFS=, read -r clip _ _ sign <<<"$(tail -n 1 <<<"$unseen")"
named=$(asl predict $model --top 1 --json "$raw/$clip" | python -c '
import json, sys
best = json.load(sys.stdin)[0]["predictions"][0]
print(best["sign"], "with probability", round(best["probability"], 3))')
printf '\nThe last clip: the file names %s; signed was %s.\n' "$named" "$sign"
printf 'Next: .venv/bin/asl ui compares the runs in a browser; README.md has the rest.\n'
printf 'This demo ran on %s.\n' "$clips_are"
