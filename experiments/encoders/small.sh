#!/usr/bin/env bash
# Small encoders that differ in one thing, from the root of the project: with and without e4e's regularisers, and ReStyle.
# A training that was killed goes on; a finished one is skipped.
# STEPS and COUNT make it smaller.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
common=(task=encoder trainer=bf16 'loss=[pixel]' task.samples=0 task.steps="${STEPS:-1200}" logger=none validation.count=100
  callbacks.samples_every=500 callbacks.snapshot_every=0 callbacks.scores_every=0 output=outputs/encoders/small)
size=(encoder.width=16 encoder.width_max=96 encoder.pyramid=48)

"$python" train.py "${common[@]}" "${size[@]}" name=plain
"$python" train.py "${common[@]}" "${size[@]}" name=e4e 'regularizer=[delta_norm]' 'adversary=[latent]' \
  adversary.latent.lr=2e-4 task.widen_after=300 task.widen_every=50
"$python" experiments/encoders/editability.py outputs/encoders/small/{plain,e4e}/weights.safetensors \
  --images "${COUNT:-200}"

inner=(encoder.encoder.width=16 encoder.encoder.width_max=96 encoder.encoder.pyramid=48 encoder.encoder.around=first)
"$python" train.py "${common[@]}" encoder=restyle "${inner[@]}" encoder.passes=5 task.steps="$((${STEPS:-1200} / 3 + 1))" name=restyle
for passes in 1 2 3 4 5; do
  "$python" invert.py 'projector=[encoder]' projector.encoder.passes=$passes encoder=trained \
    encoder.checkpoint=outputs/encoders/small/restyle/weights.safetensors data.count="${COUNT:-200}" logger=none \
    'metric=[mse,psnr,ssim,perceptual]' output=outputs/encoders name="restyle-encoder-$passes"
done
"$python" experiments/encoders/table.py outputs/encoders restyle
