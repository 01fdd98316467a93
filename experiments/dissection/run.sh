#!/usr/bin/env bash
# The dissections of README.md, about an hour on two cores. Settings of dissect.py may follow.
#   experiments/dissection/run.sh
#   SAMPLES=500 IMAGES=32 experiments/dissection/run.sh
#   WORLD=faces DCGAN=weights.safetensors PARSING=face_parsing.safetensors experiments/dissection/run.sh  # see examples/faces
#   WORLD=cats DCGAN=G_iter6400.pkl experiments/dissection/run.sh  # see examples/grumpy
set -euo pipefail
PYTHON=${PYTHON:-.venv/bin/python}
SAMPLES=${SAMPLES:-500}
IMAGES=${IMAGES:-32}
STEPS=${STEPS:-30}
out="output=outputs/dissection logger=none"
if [[ ${WORLD:-cottages} == faces ]]; then  # which units agree with parts of faces; no second network judges them
  export PYTHONPATH=examples/faces${PYTHONPATH:+:$PYTHONPATH}
  $PYTHON dissect.py --config-dir examples/faces/conf generator=digiface generator.checkpoint="$DCGAN" segmenter=face_parsing \
    segmenter.checkpoint="$PARSING" judge=null 'layers=[main.5,main.8]' "samples=$SAMPLES" batch_size=8 name=faces $out "$@"
  exit
fi
if [[ ${WORLD:-cottages} == cats ]]; then  # by colours
  export PYTHONPATH=examples/grumpy${PYTHONPATH:+:$PYTHONPATH}
  $PYTHON dissect.py --config-dir examples/grumpy/conf generator=grumpy generator.checkpoint="$DCGAN" segmenter=grumpy_colours \
    judge=null 'layers=[up_conv2,up_conv3]' 'analysis=[agreement,causality]' "analysis.causality.images=$IMAGES" \
    "analysis.causality.steps=$STEPS" "samples=$SAMPLES" name=cats $out "$@"
  exit
fi
CLASSES=${CLASSES:-door,tree,window,cloud,chimney,sun,wall}
$PYTHON dissect.py 'layers=[b32.conv1]' "samples=$SAMPLES" 'analysis=[causality,relations,placing]' \
  "analysis.causality.classes=[$CLASSES]" "analysis.causality.images=$IMAGES" "analysis.causality.steps=$STEPS" \
  "analysis.relations.images=$IMAGES" 'analysis.placing.classes=[door]' name=causes $out "$@"
$PYTHON dissect.py 'layers=[b16.conv1,b32.conv0,b32.conv1]' "samples=$SAMPLES" 'analysis=[artefacts]' \
  "analysis.artefacts.images=$IMAGES" name=artefacts $out "$@"
$PYTHON experiments/dissection/table.py outputs/dissection/causes_* outputs/dissection/artefacts_*
$PYTHON experiments/dissection/doors.py --units "$(ls -dt outputs/dissection/causes_*/units.safetensors | head -1)" \
  --samples "$SAMPLES"
