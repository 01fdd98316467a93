#!/usr/bin/env bash
# The runs behind README.md, from the root of the project: held-out cottages projected into three spaces with more and
# more steps, then the same edits on all of them. Each run is skipped if it is finished, and goes on if it was killed.
# The figures go to outputs/figures/tradeoff, or to FIGURES.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
for space in z w w_plus; do
  for steps in ${STEPS:-25 100 500}; do
    "$python" invert.py space=$space steps=$steps 'projector=[mean,optimization]' optimizer.lr=0.05 data.count="${COUNT:-32}" \
      batch_size=32 'metric=[psnr]' logger=none output=outputs/tradeoff name="$space-$steps"
  done
done
"$python" experiments/tradeoff/table.py outputs/tradeoff --figures "${FIGURES:-outputs/figures/tradeoff}"
