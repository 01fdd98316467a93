#!/usr/bin/env bash
# The runs behind README.md, from the root of the project: a search for the step size of three methods on cottages of the
# validation split, then defaults and findings on the test images of protocol=cottages. It can be killed and called again.
# METHODS, TRIALS and PROTOCOL=cottages_small make it smaller; what follows goes to all of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
for method in ${METHODS:-adam_z adam_w adam_w_plus image2stylegan}; do
  "$python" -m zstar.tune experiments/tuning/rate.yaml --name "$method" --trials "${TRIALS:-10}" --metric psnr method=$method \
    'loss=[pixel,perceptual]' 'metric=[psnr,perceptual]' budget.evaluations=50 data.count=16 "$@"
done
for method in ${METHODS:-adam_z adam_w adam_w_plus image2stylegan}; do
  words=(method=$method protocol="${PROTOCOL:-cottages}" budget.evaluations=50 'metric=[mse,psnr,perceptual]' 'editability=[]' logger=none
    output=outputs/tuning "$@")
  "$python" invert.py "${words[@]}"
  "$python" invert.py --config-dir "outputs/tune/$method" "${words[@]}" experiment=best
done
"$python" experiments/tuning/table.py outputs/tuning
