#!/usr/bin/env bash
# The trainings behind README.md, from the root of the project: seven edits at once, six times. Each is skipped if it is
# finished, and goes on if it was killed. The figure goes to outputs/figures/steering, or to FIGURES.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
for space in ${SPACES:-w z w_plus}; do
  for walk in ${WALKS:-linear nonlinear}; do
    "$python" train.py task=direction space=$space walk=$walk trainer="${TRAINER:-bf16}" \
      'edit=[zoom,shift_x,shift_y,rotate,brightness,season,time_of_day]' task.steps="${STEPS:-300}" task.batch=8 \
      callbacks.scores_every=0 callbacks.samples_every="${STEPS:-300}" validation.count="${COUNT:-64}" logger=none \
      output=outputs/steering name="${space}_$walk"
  done
done
"$python" experiments/steering/table.py outputs/steering --figures "${FIGURES:-outputs/figures/steering}"
