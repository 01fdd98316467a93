#!/usr/bin/env bash
# Small encoders that differ in one thing, from the root of the project: with and without e4e's regularisers, and ReStyle.
# A training that was killed goes on; a finished one is skipped.
# STEPS (12 at the least), BATCH, COUNT and SAMPLES make it smaller.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
steps=${STEPS:-1200}
common=(task=encoder trainer="${TRAINER:-bf16}" 'loss=[pixel]' task.samples=0 task.batch="${BATCH:-16}" validation.count="${COUNT:-100}" logger=none
  callbacks.samples_every=500 callbacks.snapshot_every=0 callbacks.scores_every=0 output=outputs/encoders/small)
size=(encoder.width=16 encoder.width_max=96 encoder.pyramid=48)

"$python" train.py "${common[@]}" "${size[@]}" name=plain task.steps="$steps"
"$python" train.py "${common[@]}" "${size[@]}" name=e4e 'regularizer=[delta_norm]' 'adversary=[latent]' \
  adversary.latent.lr=2e-4 task.steps="$steps" task.widen_after="$((steps / 4))" task.widen_every="$(((steps + 23) / 24))"
"$python" experiments/encoders/editability.py outputs/encoders/small/{plain,e4e}/weights.safetensors \
  --images "${COUNT:-200}" --samples "${SAMPLES:-2000}"

inner=(encoder.encoder.width=16 encoder.encoder.width_max=96 encoder.encoder.pyramid=48 encoder.encoder.around=first)
"$python" train.py "${common[@]}" encoder=restyle "${inner[@]}" encoder.passes=5 task.steps="$((steps / 3))" name=restyle
for passes in 1 2 3 4 5; do
  "$python" invert.py 'projector=[encoder]' projector.encoder.passes=$passes encoder=trained \
    encoder.checkpoint=outputs/encoders/small/restyle/weights.safetensors data.count="${COUNT:-200}" logger=none \
    'metric=[mse,psnr,ssim,perceptual]' output=outputs/encoders name="restyle-encoder-$passes"
done
"$python" experiments/encoders/table.py outputs/encoders restyle
