#!/usr/bin/env bash
# A picture's class as a latent, from the root of the project: the conditional BigGAN of cottages (experiment=biggan64, kind ×
# quarter of the season), and held-out cottages with their class given, with a wrong one, with the one that is found by
# trying all, and with a class that is free. A finished run is skipped. COUNT=8 STEPS=2 makes it small.
# What follows goes to each call of invert.py, the figure to outputs/figures/families, or to FIGURES.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
weights=${NETWORKS:-outputs/train}/biggan64/weights.safetensors
top=outputs/families/classes count=${COUNT:-64} words=("$@")
[[ -f $weights ]] || weights=biggan64  # which ships
run() {  # name, words
  "$python" invert.py generator=biggan generator.checkpoint="$weights" name="$1" data.count="$count" steps="${STEPS:-200}" \
    'metric=[psnr,perceptual]' logger=none output="$top" "${@:2}" ${words[@]+"${words[@]}"}
}
"$python" experiments/families/classes.py "$top" --network "$weights" --count "$count" --write
run given space=z 'projector=[mean,optimization]' data.classes="$top/true.csv"
run wrong space=z 'projector=[mean,optimization]' data.classes="$top/wrong.csv"
run found space=z 'projector=[classes,optimization]' projector.optimization.class_lr=0
run mixed space=z 'projector=[classes,optimization]'
run unknown space=z 'projector=[mean,optimization]'  # begins with all classes to equal parts
found=$(ls -dt "$top"/found_* | head -1)
run embedding space=embedding 'projector=[saved,optimization]' inversion="$found"
run z_class space=z_class 'projector=[classes,optimization]'
"$python" experiments/families/classes.py "$top" --network "$weights" --count "$count" --figures "${FIGURES:-outputs/figures/families}"
