#!/usr/bin/env bash
# The dissections of README.md, about an hour on two cores. Settings of dissect.py may follow.
#   experiments/dissection/run.sh
#   SAMPLES=500 IMAGES=32 experiments/dissection/run.sh
set -euo pipefail
PYTHON=${PYTHON:-.venv/bin/python}
SAMPLES=${SAMPLES:-500}
IMAGES=${IMAGES:-32}
STEPS=${STEPS:-30}
CLASSES=${CLASSES:-door,tree,window,cloud,chimney,sun,wall}
out="output=outputs/dissection logger=none"
$PYTHON dissect.py 'layers=[b32.conv1]' "samples=$SAMPLES" 'analysis=[causality,relations,placing]' \
  "analysis.causality.classes=[$CLASSES]" "analysis.causality.images=$IMAGES" "analysis.causality.steps=$STEPS" \
  "analysis.relations.images=$IMAGES" 'analysis.placing.classes=[door]' name=causes $out "$@"
$PYTHON dissect.py 'layers=[b16.conv1,b32.conv0,b32.conv1]' "samples=$SAMPLES" 'analysis=[artefacts]' \
  "analysis.artefacts.images=$IMAGES" name=artefacts $out "$@"
$PYTHON experiments/dissection/table.py outputs/dissection/causes_* outputs/dissection/artefacts_*
$PYTHON experiments/dissection/doors.py --units "$(ls -dt outputs/dissection/causes_*/units.safetensors | head -1)" \
  --samples "$SAMPLES"
