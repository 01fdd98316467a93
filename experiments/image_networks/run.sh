#!/usr/bin/env bash
# The networks and the runs behind README.md, from the root of the project. What is finished is skipped, so it can be
# killed and called again. ONLY="label_maps season" makes some of the pieces; COUNT=3 STEPS=2 makes all of them small,
# TRAINED=1000 the trainings of the losses alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
out=outputs/image_networks
count=${COUNT:-64}
pieces=${ONLY:-label_maps season style losses}

train() {  # name, words
  "$python" train.py logger=none trainer="${TRAINER:-default}" output="$out/networks" name="$1" validation.count="$count" \
    callbacks.samples_every=500 callbacks.scores_every=0 callbacks.snapshot_every=0 "${@:2}" ${STEPS:+task.steps=$STEPS}
}
measure() {  # name, words
  "$python" invert.py logger=none device=cpu batch_size=16 output="$out/runs" name="$1" 'metric=[mse,psnr,ssim,perceptual]' \
    "${@:2}"
}
apply() {  # name, network, words
  measure "$1" experiment=apply_network encoder.checkpoint="$out/networks/$2/weights.safetensors" "${@:3}"
}

for piece in $pieces; do
  case $piece in
    label_maps)
      train label_maps experiment=label_maps
      apply label_maps label_maps data=class_maps data.data.count="$count" projector.encoder.target=source ;;
    season)
      train season experiment=learned_edit data.count=100000
      "$python" experiments/image_networks/season.py "$out/networks/season/weights.safetensors" --count "$count" \
        --steps "${STEPS:-100}" --out "$out/season.json" ;;
    style)
      style=(data.style=experiments/style/swirls.png)
      train swirls experiment=fast_style "${style[@]}"
      few=(data=cottages data.count=8 "${style[@]}" 'loss=[gram,content]' loss.gram.normalization=relative
        loss.content.relative=true)
      apply style_network swirls "${few[@]}"
      measure style_pixels experiment=style_transfer "${few[@]}" steps="${STEPS:-200}"
      latent=(experiment=style_transfer "${few[@]}" generator=cottages space=w_plus optimizer=adam steps="${STEPS:-200}")
      measure style_latent "${latent[@]}" 'projector=[encoder,optimization]'
      measure style_weights "${latent[@]}" 'projector=[encoder,optimization,weights]' ;;
    losses)
      steps=${TRAINED:-${STEPS:-2000}}
      for name in pixel perceptual adversarial contrastive; do
        words=('loss=[pixel]')
        [[ $name == perceptual ]] && words=('loss=[pixel,perceptual]')
        [[ $name == contrastive ]] && words=('loss=[pixel,patch_nce]' loss.patch_nce.weight=0.02)
        [[ $name == adversarial ]] && words=('loss=[pixel]' 'adversary=[image]' adversary.image.weight=0.01
          adversary.image.discriminator.channel_base=512 adversary.image.discriminator.channel_max=64
          adversary.image.discriminator.r1=finite)
        train "loss_$name" task=image_network "${words[@]}" task.steps="$steps"
        apply "loss_$name" "loss_$name" data=cottages data.count="$count" 'operator=[downscale]'
      done
      measure small_pixels generator=pixels space=pixels 'projector=[mean,optimization]' optimizer=lbfgs 'loss=[pixel]' \
        'operator=[downscale]' 'regularizer=[total_variation]' regularizer.total_variation.weight=0.01 data.count="$count" \
        steps="${STEPS:-200}"
      small=(experiment=super_resolution data.count="$count" steps="${STEPS:-150}")
      measure small_latent "${small[@]}" 'projector=[encoder,optimization]'
      measure small_weights "${small[@]}" 'projector=[encoder,optimization,weights]' ;;
    *)
      echo "$0: there is no piece '$piece'; choose among label_maps season style losses" >&2
      exit 2 ;;
  esac
done
"$python" experiments/image_networks/table.py
