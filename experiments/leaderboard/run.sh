#!/usr/bin/env bash
# The runs behind README.md, from the root of the project. Cells that are finished are skipped, so it can be killed and
# called again, by several processes at once.
# The board goes to outputs/leaderboard/<world>/benchmark, or to BOARD; METHODS=adam_w,stylegan2 takes some of the methods.
#   experiments/leaderboard/run.sh cottages
#   experiments/leaderboard/run.sh round_trip budget.evaluations=50 seed=0  # and turned: what follows goes to invert.py
#   VGG=vgg_normalised_conv3_1.pth CATS=grumpyB_204.tar DCGAN=G_iter6400.pkl CATS_ENCODER=weights.safetensors \
#     experiments/leaderboard/run.sh grumpy
#   VGG=vgg_normalised_conv3_1.pth FACES=images_89x109.tar VAE=celeba_vae64_z32.pth experiments/leaderboard/run.sh celeba
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
world=${1:?give a world: cottages, round_trip, turned, grumpy or celeba}
shift
baseline=adam_z pivots=()
case $world in
  cottages | round_trip | turned)
    baseline=stylegan2
    words=(--config-dir experiments/leaderboard/conf)
    ;;
  grumpy)
    export PYTHONPATH=examples/grumpy${PYTHONPATH:+:$PYTHONPATH}
    words=(--config-dir examples/grumpy/conf generator.checkpoint="$DCGAN" data.path="$CATS" encoder=trained
      encoder.checkpoint="$CATS_ENCODER" metric.perceptual.network.checkpoint="$VGG")
    pivots=(pti weight_space semantic_photo) ;;
  celeba)
    export PYTHONPATH=examples/celeba_vae${PYTHONPATH:+:$PYTHONPATH}
    words=(--config-dir examples/celeba_vae/conf generator.checkpoint="$VAE" data.path="$FACES" encoder=celeba_vae
      encoder.checkpoint="$VAE" metric.perceptual.network.checkpoint="$VGG")
    pivots=(pti weight_space semantic_photo) ;;
  *)
    echo "$0: there is no world '$world'; choose cottages, round_trip, turned, grumpy or celeba" >&2
    exit 2 ;;
esac
compared=(--baseline "$baseline")
[[ -n ${METHODS:-} ]] && compared=()  # it may be none of them

sweep() {
  "$python" invert.py -m "${words[@]}" protocol="$world" logger=none output="outputs/leaderboard/$world" "$@" ||
    echo "some cells failed; they are listed with the results"
}
commas=$(IFS=,; echo "${pivots[*]-}")
sweep "method=${METHODS:-glob(*,exclude=[$commas])}" "$@"
# What a method changes of a generator begins at a latent of w in its paper; a generator that has none has it in z.
[[ -n $commas && -z ${METHODS:-} ]] && sweep "method=$commas" space=z "$@"
"$python" -m zstar.benchmark "outputs/leaderboard/$world" --output "${BOARD:-outputs/leaderboard/$world/benchmark}" \
  ${compared[@]+"${compared[@]}"}
