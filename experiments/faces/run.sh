#!/usr/bin/env bash
# Real faces: directions of four attributes in the latent space of a VAE, from the labels of 4,000 photos, applied to
# others. From the root of the project:
#   LABELLED=200 FACES=images_89x109.tar … takes fewer photos
#   FACES=images_89x109.tar LABELS=list_attr_celeba.txt VAE=celeba_vae64_z32.pth experiments/faces/run.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PYTHONPATH=examples/celeba_vae${PYTHONPATH:+:$PYTHONPATH}
python=${PYTHON:-.venv/bin/python}
model=(--config-dir examples/celeba_vae/conf generator=celeba_vae generator.checkpoint="$VAE" encoder=celeba_vae
  encoder.checkpoint="$VAE" space=z 'loss=[pixel]' data=folder data.path="$FACES" data.fit=resize 'metric=[psnr]' logger=none)
"$python" invert.py "${model[@]}" 'projector=[encoder]' data.count="${LABELLED:-4000}" batch_size=100 output=outputs/faces name=labelled
newest=$(find outputs/faces -path '*/labelled_*/result.json' -printf '%T@ %h\n' | sort -n | tail -n 1)
labelled=${newest#* }
for finder in attribute interfacegan; do
  "$python" edit.py "${model[@]}" 'projector=[encoder,optimization]' steps="${STEPS:-100}" data.first="${LABELLED:-4000}" data.count=12 \
    "direction=[$finder]" "direction.$finder.attributes=[Smiling,Male,Blond_Hair,Eyeglasses]" \
    annotation=labels annotation.path="$LABELS" annotation.inversion="$labelled" 'editability=[]' \
    output=outputs/faces name="$finder"
done
"$python" experiments/faces/table.py outputs/faces
