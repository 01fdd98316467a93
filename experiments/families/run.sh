#!/usr/bin/env bash
# The runs behind README.md, from the root of the project: the same held-out cottages into every family whose weights are in
# NETWORKS (outputs/train, where train.sh puts them) or ship, in each of its spaces: by its own encoder or inverse, by
# optimisation, by both, and with its weights; then a picture's class as a latent, by classes.sh. A finished run is skipped
# and a killed one goes on. Networks that are missing are named and the others go on. ONLY="vae64 classes" takes some; COUNT=8 fewer
# pictures; STEPS, TUNED and SAMPLES are steps in a space, steps of the weights, and samples that directions are found from.
# ENCODERS=outputs/families/encoders has inverting networks of GANs, <family>/weights.safetensors each.
# Figures go to outputs/figures/families, or to FIGURES. What follows goes to each call of invert.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
networks=${NETWORKS:-outputs/train} top=outputs/families/runs figures=${FIGURES:-outputs/figures/families}
words=("$@") missing=() failed=()
ships=$("$python" -c 'from zstar.checkpoints.io import all_shipped; print(*(path.stem for path in all_shipped()))')

run() {  # way, space, words
  local name=$family-$1-$2 edited=("${edits[@]}")
  [[ $family-$2 == biggan64-z ]] && edited=()  # a sample of z is no picture without a class, and directions are found from samples
  "$python" invert.py generator="$choice" generator.checkpoint="$weights" data.resolution="$size" space="$2" name="$name" \
    data.count="${COUNT:-64}" steps="${STEPS:-200}" 'metric=[psnr,perceptual]' logger=none output="$top" \
    ${edited[@]+"${edited[@]}"} "${@:3}" ${words[@]+"${words[@]}"} || failed+=("$name")
}
for family in ${ONLY:-cottages64 dcgan64 pggan64 stylegan64 biggan64 vae64 vqvae64 glow32 realnvp32 classes}; do
  weights=$networks/$family/weights.safetensors size=64 start=mean own=() encoder=()
  edits=('direction=[attribute]' 'direction.attribute.attributes=[season,house_x]' 'editability=[leakage,edit_drift]'
    annotation.checkpoint=judge64 annotation.count="${SAMPLES:-2000}")  # the judge, which no loss knows
  case $family in
    cottages64) choice=stylegan2 weights=cottages64 spaces=(z w w_plus style) pivot=w own=(w_plus) encoder=(encoder=shipped) ;;
    dcgan64 | pggan64) choice=${family%64} spaces=(z) pivot=z ;;
    stylegan64) choice=stylegan spaces=(z w w_plus style) pivot=w ;;
    biggan64) choice=biggan spaces=(z z_class) pivot=z_class start=classes ;;
    vae64) choice=vae spaces=(z) pivot=z own=(z) encoder=(encoder=own) ;;
    vqvae64) choice=vqvae2 spaces=(quantised continuous) pivot=continuous own=(quantised continuous) encoder=(encoder=own) ;;
    glow32 | realnvp32) choice=${family%32} spaces=(z) pivot= size=32 ;;
    classes)
      COUNT=${COUNT:-64} STEPS=${STEPS:-200} NETWORKS=$networks FIGURES=$figures experiments/families/classes.sh \
        ${words[@]+"${words[@]}"} ||
        failed+=(classes)
      continue ;;
    *)
      echo "$0: there is no family '$family'; choose among cottages64 dcgan64 pggan64 stylegan64 biggan64 vae64 vqvae64 glow32 realnvp32 classes" >&2
      exit 2 ;;
  esac
  if [[ ! -f $weights ]]; then
    if [[ " $ships " != *" $family "* ]]; then
      missing+=("$weights")
      continue
    fi
    weights=$family
  fi
  if [[ -n ${ENCODERS:-} && -f $ENCODERS/$family/weights.json ]]; then
    encoder=(encoder=trained encoder.checkpoint="$ENCODERS/$family/weights.safetensors")
    own=("$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["space"])' "$ENCODERS/$family/weights.json")")
  fi
  ((size == 32)) && run own z 'projector=[exact]'  # after which neither steps nor weights have anything to add
  for space in ${own[@]+"${own[@]}"}; do
    [[ $space == "${own[0]}" ]] && run own "$space" 'projector=[encoder]' "${encoder[@]}"  # lifted, its latents draw the same
    run hybrid "$space" 'projector=[encoder,optimization]' "${encoder[@]}"
  done
  for space in "${spaces[@]}"; do
    run optimisation "$space" "projector=[$start,optimization]"
  done
  if [[ -n $pivot ]]; then
    ((${#encoder[@]})) && start=encoder
    run weights "$pivot" "projector=[$start,optimization,weights]" projector.weights.steps="${TUNED:-100}" ${encoder[@]+"${encoder[@]}"}
  fi
done
"$python" experiments/families/table.py "$top" --networks "$networks" --figures "$figures"
((${#missing[@]})) && printf 'left out: there is no %s\n' "${missing[@]}"
((${#failed[@]})) || exit 0
printf 'failed: %s\n' "${failed[@]}" >&2
exit 1
