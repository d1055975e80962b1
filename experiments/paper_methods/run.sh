#!/usr/bin/env bash
# What the paper's two methods do on the built-in set. Finished runs are kept, so it can be run again.
#   bash experiments/paper_methods/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
make data
bin=.venv/bin/negclap
runs=runs/chorales

# 1. k on validation, from the paper's grid, in short runs of the combined method.
for k in 0.1 0.01 0.001 0.0001; do
  run=runs/k-grid/$k
  [ -e $run/finished ] || $bin fit -c configs/chorales.yaml -c configs/methods/combined.yaml \
    --model.losses.dissimilarity.weight $k --trainer.max_epochs 6 --run_dir $run && touch $run/finished
done
.venv/bin/python experiments/paper_methods/choose_k.py runs/k-grid/*

# 2. The methods at that k, three seeds of the two that are compared.
train() { [ -e $runs/$1-$2/results.json ] || make train METHOD=$1 SEED=$2; }
for seed in 0 1 2; do
  train baseline $seed
  train combined $seed
done
train insert 0
train dissimilarity 0
$bin report $runs/baseline-* $runs/insert-* $runs/dissimilarity-* $runs/combined-* \
  --out experiments/paper_methods
