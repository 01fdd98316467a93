#!/usr/bin/env bash
# The runs behind README.md, from the root of the project: pictures in spaces alone, then with the generator's weights or
# maps as well, under each regularizer at five strengths, all from the same projections, and by a network without a prior.
# A finished run is skipped and a killed one goes on. COUNT=8 takes so many images, ONLY=locality the runs of that kind.
# The figures go to outputs/figures/differences, or to FIGURES. What follows the world goes to each call of invert.py.
#   experiments/differences/run.sh cottages
#   CATS=grumpyB_204.tar experiments/differences/run.sh out_of_domain  # photos of cats, by the generator of cottages
#   VGG=vgg_normalised_conv3_1.pth CATS=grumpyB_204.tar DCGAN=G_iter6400.pkl CATS_ENCODER=weights.safetensors \
#     experiments/differences/run.sh cats
#   VGG=vgg_normalised_conv3_1.pth FACES=images_89x109.tar LABELS=list_attr_celeba.txt VAE=celeba_vae64_z32.pth \
#     experiments/differences/run.sh faces
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
world=${1:?give a world: cottages, out_of_domain, cats or faces}
shift
top=outputs/differences/$world
steps=${STEPS:-200} tuned=${TUNED:-100}
spaces=(z) maps=() start=encoder photos=()  # what worlds whose generators have z alone share
case $world in
  cottages | out_of_domain)
    spaces=(z w w_plus) maps=(b8 b16 b32) start=encoder_or_mean
    [[ $world == out_of_domain ]] && photos=(data=folder data.path="$CATS" data.fit=resize)
    model=()
    common=('loss=[pixel,perceptual]' annotation.checkpoint=judge64 'direction=[shipped]' 'editability=[edit_drift,leakage]'
      direction.shipped.names='[season,time_of_day,windows,house_x]') ;;
  cats)
    export PYTHONPATH=examples/grumpy${PYTHONPATH:+:$PYTHONPATH}
    photos=(data=folder data.path="$CATS" data.fit=resize)
    model=(--config-dir examples/grumpy/conf generator=grumpy generator.checkpoint="$DCGAN" space.constraint=prior
      encoder=trained encoder.checkpoint="$CATS_ENCODER")
    common=('direction=[ganspace]' direction.ganspace.components=4 direction.ganspace.layer=up_conv1) ;;
  faces)
    export PYTHONPATH=examples/celeba_vae${PYTHONPATH:+:$PYTHONPATH}
    photos=(data=folder data.path="$FACES" data.fit=resize data.first=4000)
    model=(--config-dir examples/celeba_vae/conf generator=celeba_vae generator.checkpoint="$VAE" encoder=celeba_vae
      encoder.checkpoint="$VAE")
    labelled=outputs/differences/labelled
    "$python" invert.py "${model[@]}" space=z 'loss=[pixel]' 'metric=[psnr]' logger=none 'projector=[encoder]' \
      data=folder data.path="$FACES" data.fit=resize data.count="${LABELLED:-4000}" batch_size=100 output=$labelled
    newest=$(ls -dt $labelled/*/result.json | head -1)
    common=('direction=[attribute]' 'direction.attribute.attributes=[Smiling,Eyeglasses,Blond_Hair]' annotation=labels
      annotation.path="$LABELS" annotation.inversion="${newest%/*}") ;;
  *)
    echo "$0: there is no world '$world'; choose cottages, out_of_domain, cats or faces" >&2
    exit 2 ;;
esac
if [[ $world == cats || $world == faces ]]; then  # no network of ours knows them
  judge="network={_target_:zstar.losses.networks.VGG19Conv3,checkpoint:$VGG}"
  common+=('loss=[pixel]' 'editability=[edit_drift]')
  perceptual=(metric.perceptual."$judge") drift=(metric.drift_perceptual."$judge")
fi
pivot=${spaces[1]:-z}
run() {  # name, then what the run is
  local name=$1
  shift
  [[ -n ${ONLY:-} && ${name%%-*} != "$ONLY" ]] && return
  "$python" invert.py "${model[@]}" name="$name" data.count="${COUNT:-32}" batch_size=16 ${photos[@]+"${photos[@]}"} \
    logger=none output="$top" "$@"
}
fit() {  # the same with this world's generator
  run "$1" "${common[@]}" 'metric=[psnr,perceptual,drift,drift_perceptual]' metric.drift.samples=64 \
    metric.drift_perceptual.samples=64 ${drift[@]+"${perceptual[@]}" "${drift[@]}"} steps="$steps" "${@:2}" "${words[@]}"
}
words=("$@")
for space in "${spaces[@]}"; do
  fit "$space" space="$space" "projector=[$start,optimization]"
done
both=(space="$pivot" "projector=[$start,optimization,weights]" projector.weights.steps="$tuned")
for short in 4 2 1; do  # nothing but the number of steps holds weights back
  fit "none-$short" "${both[@]}" projector.weights.steps=$((tuned / short > 0 ? tuned / short : 1))
done
for mu in 1 10 100 1000 10000; do fit "weight_norm-$mu" "${both[@]}" 'regularizer=[weight_norm]' regularizer.weight_norm.weight=$mu; done
for mu in 0.03 0.1 0.3 1 3; do
  fit "locality-$mu" "${both[@]}" 'regularizer=[locality]' regularizer.locality.weight=$mu regularizer.locality.samples=2
  fit "feature_drift-$mu" "${both[@]}" 'regularizer=[feature_drift]' regularizer.feature_drift.weight=$mu \
    regularizer.feature_drift.samples=2
done
for rank in 1 2 4 8 16; do fit "rank-$rank" "${both[@]}" projector.weights.rank=$rank; done
for mu in 0.001 0.01 0.1 1 10; do
  fit "features-$mu" space="$pivot" "projector=[$start,optimization,features]" projector.features.steps="$tuned" \
    'regularizer=[feature_norm]' regularizer.feature_norm.weight=$mu
done
for layer in ${maps[@]+"${maps[@]}"}; do
  fit "feature_space-$layer" space=feature space.layer="$layer" "projector=[$start,optimization]"
done
model=()
run deep_image_prior method=deep_image_prior steps="${PRIOR:-1000}" 'metric=[psnr,perceptual]' ${perceptual[@]+"${perceptual[@]}"} "${words[@]}"
"$python" experiments/differences/table.py "$top" --world "$world" --figures "${FIGURES:-outputs/figures/differences}"
