#!/usr/bin/env bash
# The runs behind README.md, from the root of the project. Each is skipped if it is finished, and goes on if it was killed.
# What follows goes to invert.py; the figure goes to outputs/figures/projection, or to FIGURES.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
common=(logger=none output=outputs/projection metric.perceptual.checkpoint=annotator64)

# Round trip: images that the generator made from known latents.
"$python" invert.py experiment=round_trip name=samples "${common[@]}" "$@"
# Held-out pictures: using different layers.
"$python" invert.py -m experiment=layers space=z,w,w_plus name=held-out "${common[@]}" "$@"
"$python" experiments/projection/table.py outputs/projection --figures "${FIGURES:-outputs/figures/projection}"
