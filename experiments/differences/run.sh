#!/usr/bin/env bash
# The runs behind README.md, from the root of the project: held-out cottages in spaces alone, then with the generator's
# weights or maps as well, under each regularizer at five strengths, all from the same projections into w.
# A finished run is skipped and a killed one goes on. COUNT=8 takes so many images, ONLY=locality the runs of that kind.
# The figures go to outputs/figures/differences, or to FIGURES. What follows goes to each call of invert.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
top=outputs/differences
run() {  # name, then what the run is
  local name=$1
  shift
  [[ -n ${ONLY:-} && ${name%%-*} != "$ONLY" ]] && return
  "$python" invert.py name="$name" data.count="${COUNT:-32}" batch_size=16 'metric=[psnr,perceptual,drift,drift_perceptual]' \
    'loss=[pixel,perceptual]' 'direction=[shipped]' direction.shipped.names='[season,time_of_day,windows]' \
    'editability=[leakage]' annotation.checkpoint=judge64 metric.drift.samples=64 metric.drift_perceptual.samples=64 \
    logger=none output=$top "$@"
}
steps=${STEPS:-200} tuned=${TUNED:-100}
for space in z w w_plus; do
  run "$space" space=$space 'projector=[encoder_or_mean,optimization]' steps="$steps"
done
both=(space=w steps="$steps" 'projector=[encoder_or_mean,optimization,weights]' projector.weights.steps="$tuned")
for short in 4 2 1; do  # nothing but the number of steps holds weights back
  run "none-$short" "${both[@]}" projector.weights.steps=$((tuned / short > 0 ? tuned / short : 1))
done
for mu in 1 10 100 1000 10000; do run "weight_norm-$mu" "${both[@]}" 'regularizer=[weight_norm]' regularizer.weight_norm.weight=$mu; done
for mu in 0.03 0.1 0.3 1 3; do
  run "locality-$mu" "${both[@]}" 'regularizer=[locality]' regularizer.locality.weight=$mu regularizer.locality.samples=2
  run "feature_drift-$mu" "${both[@]}" 'regularizer=[feature_drift]' regularizer.feature_drift.weight=$mu \
    regularizer.feature_drift.samples=2
done
for rank in 1 2 4 8 16; do run "rank-$rank" "${both[@]}" projector.weights.rank=$rank; done
for mu in 0.001 0.01 0.1 1 10; do
  run "features-$mu" space=w steps="$steps" 'projector=[encoder_or_mean,optimization,features]' projector.features.steps="$tuned" \
    'regularizer=[feature_norm]' regularizer.feature_norm.weight=$mu
done
for layer in b8 b16 b32; do run "feature_space-$layer" space=feature space.layer=$layer 'projector=[encoder_or_mean,optimization]' steps="$steps"; done
"$python" experiments/differences/table.py $top --figures "${FIGURES:-outputs/figures/differences}"
