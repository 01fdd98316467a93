#!/usr/bin/env bash
# The runs behind README.md, from the root of the project. Each is skipped if it is finished, and goes on if it was killed.
# What follows goes to the runs with strokes; the figure goes to outputs/figures/strokes, or to FIGURES.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
folder=${OUTPUT:-outputs/strokes}
common=(logger=none "output=$folder" data=folder "data.path=$folder/tasks/before" "metric=[psnr]")

"$python" experiments/strokes/tasks.py "$folder/tasks" --each "${EACH:-4}" --split "${SPLIT:-test}"
for space in ${SPACES:-z w w_plus}; do
  # z0: the network's answer in w_plus, and an optimisation where there is no network
  chain='[encoder_or_mean,optimization]'
  if [ "$space" = w_plus ]; then chain='[encoder_or_mean]'; fi
  "$python" invert.py "space=$space" "projector=$chain" steps="${STEPS:-100}" name="$space-before" "${common[@]}"
  for count in ${COUNTS:-1 8}; do
    "$python" invert.py experiment=strokes "space=$space" "data.strokes=$folder/tasks/strokes" "projector.starts.count=$count" \
      "inversion=$(ls -dt "$folder/$space-before"_* | head -1)" steps="${STROKE_STEPS:-40}" name="strokes_${space}_$count" "${common[@]}" "$@"
  done
done
"$python" experiments/strokes/table.py "$folder" --figures "${FIGURES:-outputs/figures/strokes}"
