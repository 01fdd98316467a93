#!/usr/bin/env bash
# A small network of each family, trained on cottages by its recipe, one after the other; each is scored on held-out cottages
# by a network that it was not trained against, and the end is a table of all and 64 samples of each. From the root of the
# project. A killed training goes on and what is finished is skipped. ONLY="vae64 glow32" takes some families; STEPS=2 COUNT=8
# makes all of them small, and TRAINER=default is for a processor without instructions for bfloat16.
# Networks go to outputs/train, or to NETWORKS; figures to outputs/figures/families, or to FIGURES.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
networks=${NETWORKS:-outputs/train} count=${COUNT:-5000}
families=${ONLY:-dcgan64 pggan64 stylegan64 biggan64 vae64 vqvae64 glow32 realnvp32}

for family in $families; do
  "$python" train.py experiment="$family" name="$family" output="$networks" logger=none validation.count=$((count < 500 ? count : 500)) \
    callbacks.snapshot_every=0 ${STEPS:+task.steps="$STEPS"} ${TRAINER:+trainer="$TRAINER"}
  weights=$networks/$family/weights.safetensors scores=$networks/$family/scores-$count.txt
  if [[ ! $scores -nt $weights ]]; then  # the scores go onto the card, and the weights are written with it
    "$python" -m zstar.tasks.score "$weights" judge64 --count "$count" >"$scores.partial"
    mv "$scores.partial" "$scores"
  fi
done
"$python" experiments/families/networks.py "$networks" $families --figures "${FIGURES:-outputs/figures/families}"
