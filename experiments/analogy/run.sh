#!/usr/bin/env bash
# Deep image analogy on two pairs of a photo and a painting, in both directions, and of a photo with itself. From the root of the
# project; VGG=vgg19.pth is the network that the paintings are made with. STEPS=60 are those of a painting, SIZE=128 the pixels
# of a side. Figures go to outputs/figures/analogy, or to FIGURES. What follows goes to each call of invert.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
top=outputs/analogy size=${SIZE:-128}
pixels=(generator=pixels generator.resolution="$size" space=pixels data=folder logger=none)

"$python" experiments/analogy/pictures.py photos "$top" --size "$size"
for style in swirls mosaic; do
  "$python" invert.py experiment=style_transfer data.path="$top/$style/scene" data.style="experiments/style/$style.png" \
    generator.resolution="$size" loss.gram.network.checkpoint="${VGG:-annotator64}" steps="${STEPS:-60}" logger=none name="$style" \
    output="$top/painted" "$@"
  "$python" experiments/analogy/pictures.py painting "$top" --style "$style"
  analogy() {  # name, A, B′
    "$python" invert.py "${pixels[@]}" 'projector=[analogy]' projector.analogy.size=64 'loss=[content]' 'metric=[psnr]' \
      name="${style}_$1" data.path="$2" data.style="$3" output="$top/runs" "${@:4}"
  }
  analogy painted "$top/$style/photo" "$top/$style/painting/scene.png" "$@"
  analogy photographed "$top/$style/painting" "$top/$style/photo/photo.png" "$@"
  analogy same "$top/$style/photo" "$top/$style/photo/photo.png" "$@"
done
"$python" experiments/analogy/pictures.py sheet "$top" --figures "${FIGURES:-outputs/figures/analogy}"
