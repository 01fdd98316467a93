#!/usr/bin/env bash
# The runs behind README.md, from the root of the project. Each is skipped if it is finished, and goes on if it was killed.
# What follows goes to invert.py; the pictures go to outputs/figures/restoration, or to FIGURES.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
common=(logger=none output=outputs/restoration 'metric=[mse,psnr,ssim,perceptual]')

"$python" invert.py experiment=inpainting name=inpainting "${common[@]}" "$@"
"$python" invert.py experiment=super_resolution name=super_resolution "${common[@]}" "$@"
"$python" experiments/restoration/table.py outputs/restoration --figures "${FIGURES:-outputs/figures/restoration}"
