#!/usr/bin/env bash
# The runs behind README.md, from the root of the project: optimisation, inverting network, hybrid, at several budgets.
# Each run is skipped if it is finished, and goes on if it was killed.
# The figure goes to outputs/figures/encoders, or to FIGURES.
#   VGG=vgg_normalised_conv3_1.pth experiments/encoders/run.sh cottages
#   VGG=vgg_normalised_conv3_1.pth SPACE=w STEPS="50 500" experiments/encoders/run.sh cottages
#   VGG=vgg_normalised_conv3_1.pth CATS=grumpyB_204.tar DCGAN=G_iter6400.pkl CATS_ENCODER=weights.safetensors experiments/encoders/run.sh cats
#   VGG=vgg_normalised_conv3_1.pth FACES=images_89x109.tar VAE=celeba_vae64_z32.pth experiments/encoders/run.sh faces
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
world=${1:?give a world: cottages, cats or faces}
case $world in
  cottages)
    common=(data.count="${COUNT:-48}" space="${SPACE:-w_plus}")
    world=cottages-${SPACE:-w_plus} ;;
  cats)
    export PYTHONPATH=examples/grumpy${PYTHONPATH:+:$PYTHONPATH}
    common=(--config-dir examples/grumpy/conf generator=grumpy generator.checkpoint="$DCGAN" space=z space.constraint=prior
      'loss=[pixel]' data=folder data.path="$CATS" data.count="${COUNT:-64}"
      encoder=trained encoder.checkpoint="$CATS_ENCODER") ;;
  faces)
    export PYTHONPATH=examples/celeba_vae${PYTHONPATH:+:$PYTHONPATH}
    common=(--config-dir examples/celeba_vae/conf generator=celeba_vae generator.checkpoint="$VAE" encoder=celeba_vae
      encoder.checkpoint="$VAE" space=z 'loss=[pixel]' data=folder data.path="$FACES"
      data.count="${COUNT:-500}" data.fit=resize) ;;
  *)
    echo "$0: there is no world '$world'; choose cottages, cats or faces" >&2
    exit 2 ;;
esac
common+=('metric=[mse,psnr,ssim,perceptual]' batch_size=64 optimizer.lr=0.05 logger=none output=outputs/encoders)
# What is reported as perceptual distance is a network that no loss uses: VGG-19, where its file is given.
[[ -n ${VGG:-} ]] && common+=("metric.perceptual.network={_target_:zstar.losses.networks.VGG19Conv3,checkpoint:$VGG}")

"$python" invert.py "${common[@]}" 'projector=[encoder]' name="$world-encoder-0"
for steps in ${STEPS:-1 25 50 100 500}; do
  "$python" invert.py "${common[@]}" 'projector=[mean,optimization]' steps=$steps name="$world-optimisation-$steps"
  "$python" invert.py "${common[@]}" 'projector=[encoder,optimization]' steps=$steps name="$world-hybrid-$steps"
done
"$python" experiments/encoders/table.py outputs/encoders "$world" --figures "${FIGURES:-outputs/figures/encoders}"
