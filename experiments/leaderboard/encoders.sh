#!/usr/bin/env bash
# Small inverting networks of three kinds for the shipped generator, from the root of the project, 40 minutes on one core
# in all. A training that was killed goes on; a finished one is skipped. The networks that the leaderboard takes are in
# experiments/leaderboard/networks; NETWORKS=experiments/leaderboard/networks puts these in their place.
# STEPS=12 BATCH=2 COUNT=3 makes all of them as small, to see that they run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
common=(task=encoder trainer="${TRAINER:-bf16}" logger=none validation.count="${COUNT:-100}" task.batch="${BATCH:-16}"
  callbacks.snapshot_every=0 callbacks.scores_every=0 output=outputs/encoders/board)

"$python" train.py "${common[@]}" name=igan encoder=igan space=z 'loss=[pixel]' task.steps="${STEPS:-1500}" task.samples=0.5 \
  encoder.width=32 encoder.width_max=256 callbacks.samples_every=1000
steps=${STEPS:-2500}
"$python" train.py "${common[@]}" name=e4e 'regularizer=[delta_norm]' 'adversary=[latent]' adversary.latent.lr=2e-4 \
  task.samples=0 task.steps="$steps" task.widen_after="$((steps * 6 / 25))" task.widen_every="$(((steps + 24) / 25))" \
  encoder.width=24 encoder.width_max=128 encoder.pyramid=48 callbacks.samples_every=1000
"$python" train.py "${common[@]}" name=restyle encoder=restyle encoder.passes=5 encoder.encoder.around=first 'loss=[pixel]' \
  task.samples=0 task.steps="${STEPS:-400}" encoder.encoder.width=16 encoder.encoder.width_max=96 encoder.encoder.pyramid=48 \
  callbacks.samples_every=500

for name in ${NETWORKS:+igan e4e restyle}; do
  mkdir -p "$NETWORKS"
  for kind in safetensors json; do cp "outputs/encoders/board/$name/weights.$kind" "$NETWORKS/$name.$kind"; done
done
