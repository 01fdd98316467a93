#!/usr/bin/env bash
# Real faces end to end, from the root of the project: an encoder for a DCGAN of rendered faces, directions from networks
# that read expression, age and gender from its samples, and edits of photos of people by z alone and with θ as well, back
# in their photos, judged by a network that learned from labels of other photos. What is finished is skipped.
#   FACES=images_89x109.tar LABELS=list_attr_celeba.txt DCGAN=weights.safetensors MOBILEFACENET=mobilefacenet_068.ckpt \
#     EXPRESSION=face_expression_model-weights_manifest.json AGE_GENDER=age_gender_model-weights_manifest.json \
#     VGG=vgg_normalised_conv3_1.pth experiments/real_faces/run.sh
#   ENCODER=weights.safetensors JUDGE=judge.safetensors … takes such networks in place of training them.
#   COUNT=8 STEPS=50 TUNED=50 SAMPLES=500 … is a trial. LABELLED photos are for training, those behind them are edited.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PYTHONPATH=examples/faces${PYTHONPATH:+:$PYTHONPATH}
python=${PYTHON:-.venv/bin/python}
top=outputs/real_faces labelled=${LABELLED:-4900} count=${COUNT:-64} steps=${STEPS:-200}
judge=${JUDGE:-$top/judge.safetensors}
mkdir -p $top
"$python" examples/faces/aligned.py "$FACES" $top/landmarks.csv
[[ -f $judge ]] || "$python" experiments/real_faces/judge.py "$FACES" $top/landmarks.csv "$LABELS" --backbone "$VGG" \
  --judge "$judge" --count "$labelled"
model=(--config-dir examples/faces/conf generator.checkpoint="$DCGAN" data.landmarks=$top/landmarks.csv data.detector=null
  data.path="$FACES" logger=none)
if [[ -z ${ENCODER:-} ]]; then
  "$python" train.py "${model[@]}" experiment=faces_encoder data.count="$labelled" task.steps="${TRAINED:-2000}" \
    trainer="${TRAINER:-bf16}" output=$top
  ENCODER=$(ls -dt $top/faces_encoder*/weights.safetensors | head -1)
fi
"$python" edit.py --config-dir examples/faces/conf generator=digiface generator.checkpoint="$DCGAN" logger=none \
  data=samples data.count="$count" 'direction=[attribute]' 'direction.attribute.attributes=[happy,age,male]' \
  annotation=face_scores annotation.network.expression.manifest="$EXPRESSION" annotation.count="${SAMPLES:-5000}" \
  annotation.network.age_gender.manifest="$AGE_GENDER" 'editability=[effect]' strengths=3 frames=2 output=$top name=found
newest=$(ls -dt $top/found_*/result.json | head -1)
found=${newest%/*}
model+=(generator=digiface data=close_faces data.first="$labelled" data.count="$count" space.constraint=sphere
  'loss=[pixel]' 'metric=[psnr,face_identity]' metric.face_identity.network.checkpoint="$MOBILEFACENET"
  encoder=trained encoder.checkpoint="$ENCODER" steps="$steps")
weights=('projector=[encoder,optimization,weights]' projector.weights.steps="${TUNED:-100}")
for way in encoder z theta near maps; do
  case $way in
    encoder) chain=('projector=[encoder]') post=('postprocess=[]') ;;
    z) chain=('projector=[encoder,optimization]') post=('postprocess=[residual]') ;;  # the photo, and the change of its projection
    theta) chain=("${weights[@]}") post=('postprocess=[none]') ;;  # the face as G has it
    near) chain=("${weights[@]}" 'regularizer=[locality]' regularizer.locality.weight=3) post=('postprocess=[none]') ;;
    maps) chain=('projector=[encoder,optimization,features]' projector.features.steps="${TUNED:-100}") post=('postprocess=[none]') ;;
  esac
  "$python" invert.py "${model[@]}" "${chain[@]}" output=$top name=$way
  [[ $way == encoder ]] && continue
  newest=$(ls -dt $top/${way}_*/result.json | head -1)
  "$python" edit.py "${model[@]}" inversion="${newest%/*}" 'direction=[file]' direction.file.path="$found/directions.safetensors" \
    annotation=face_judge annotation.network.backbone="$VGG" annotation.checkpoint="$judge" 'editability=[effect,leakage]' \
    "${post[@]}" seam=poisson strengths=3 frames=2 output=$top name="edit_$way"
done
"$python" experiments/real_faces/table.py $top --identity "$MOBILEFACENET" --backbone "$VGG" --judge "$judge"
