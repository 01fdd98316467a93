#!/usr/bin/env bash
# The dissections of README.md, about an hour on one core. Settings of dissect.py may follow.
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
CLASSES=${CLASSES:-null} LAYERS=${LAYERS:-b16.conv1,b32.conv0,b32.conv1} WALK_STEPS=${WALK_STEPS:-400} NAMES=${NAMES:-tree window}
$PYTHON dissect.py "layers=[$LAYERS]" "samples=$SAMPLES" 'analysis=[agreement,causality,relations,placing]' \
  "analysis.causality.layers=[$LAYERS]" "analysis.causality.classes=$CLASSES" "analysis.causality.images=$IMAGES" \
  "analysis.causality.steps=$STEPS" "analysis.relations.images=${SCENES:-200}" 'analysis.placing.classes=[door]' \
  "analysis.placing.step=${PLACES:-1}" name=layers $out "$@"
$PYTHON experiments/dissection/suns.py --boxes outputs/dissection/suns.json --images "${UNREAL:-300}"
artefacts=("layers=[$LAYERS]" "samples=$SAMPLES" 'analysis=[artefacts]' "analysis.artefacts.images=${UNREAL:-300}" $out "$@")
$PYTHON dissect.py "${artefacts[@]}" name=artefacts
$PYTHON dissect.py "${artefacts[@]}" analysis.artefacts.boxes=outputs/dissection/suns.json name=suns
$PYTHON experiments/dissection/table.py outputs/dissection/layers_* outputs/dissection/artefacts_* outputs/dissection/suns_*
$PYTHON experiments/dissection/suns.py --run "$(ls -dt outputs/dissection/suns_* | head -1)" --images "${UNREAL:-300}"
$PYTHON experiments/dissection/doors.py --samples "$SAMPLES"
$PYTHON train.py task=direction 'edit=[factor]' edit.factor.factor=tree_size trainer=bf16 "task.steps=$WALK_STEPS" task.batch=8 \
  name=tree_size output=outputs/dissection/walks logger=none
$PYTHON experiments/dissection/true.py --names $NAMES --images "$IMAGES" \
  --walks tree=outputs/dissection/walks/tree_size/weights.safetensors/factor window=directions64/windows
