#!/usr/bin/env bash
# Does alignment matter? From the root of the project: photos whose landmarks are known are projected as they come, cut out by
# detected landmarks, and by the true ones; a direction from labels of other photos moves them. What is finished is skipped.
#   pip install 'zstar[faces]'   # the detector
#   FACES=images_89x109.tar LABELS=list_attr_celeba.txt VAE=celeba_vae64_z32.pth MOBILEFACENET=mobilefacenet_068.ckpt \
#     EXPRESSION=face_expression_model-weights_manifest.json experiments/alignment/run.sh
#   COUNT=8 STEPS=25 … takes fewer photos and steps. The first LABELLED ones have labels, those behind them are edited.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PYTHONPATH=examples/faces:examples/celeba_vae${PYTHONPATH:+:$PYTHONPATH}
python=${PYTHON:-.venv/bin/python}
top=outputs/alignment labelled=${LABELLED:-4000}
model=(--config-dir examples/celeba_vae/conf generator=celeba_vae generator.checkpoint="$VAE" encoder=celeba_vae
  encoder.checkpoint="$VAE" space=z 'loss=[pixel]' 'metric=[psnr]' logger=none output=$top)
"$python" invert.py "${model[@]}" 'projector=[encoder]' data=folder data.path="$FACES" data.fit=resize \
  data.count="$labelled" batch_size=100 name=labelled
newest=$(ls -dt $top/labelled_*/result.json | head -1)
"$python" experiments/alignment/photos.py "$FACES" $top --first "$labelled" --count "${COUNT:-64}"
photos=(data=faces data.path=$top/photos data.fit=resize data.largest=true)
for way in as_they_come detected given; do
  case $way in
    as_they_come) cut=(data.align=none data.detector=null) ;;
    detected) cut=(data.align=celeba) ;;
    given) cut=(data.align=celeba data.detector=null data.landmarks=$top/landmarks.csv) ;;
  esac
  "$python" edit.py "${model[@]}" "${photos[@]}" "${cut[@]}" 'projector=[encoder,optimization]' steps="${STEPS:-100}" \
    'direction=[attribute]' 'direction.attribute.attributes=[Smiling]' annotation=labels annotation.path="$LABELS" \
    annotation.inversion="${newest%/*}" 'editability=[]' strengths=3 frames=2 projections=$top/invert name=$way
done
"$python" experiments/alignment/group.py make $top  # several faces of one photo
"$python" edit.py "${model[@]}" data=faces data.path=$top/group data.align=celeba 'projector=[encoder,optimization]' \
  steps="${STEPS:-100}" 'direction=[attribute]' 'direction.attribute.attributes=[Smiling]' annotation=labels \
  annotation.path="$LABELS" annotation.inversion="${newest%/*}" 'editability=[]' strengths=3 frames=2 'postprocess=[none]' \
  seam=poisson projections=$top/invert name=group
"$python" experiments/alignment/group.py read $top
"$python" experiments/alignment/table.py $top --identity "$MOBILEFACENET" --expression "$EXPRESSION"
