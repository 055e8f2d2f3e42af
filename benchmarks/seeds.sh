#!/usr/bin/env bash
# The default search with several seeds: is something pruned in each, and is the best ratio inside (0, 1)?
#     bash benchmarks/seeds.sh [SEED...]
set -euo pipefail
cd "$(dirname "$0")/.."
RATIO_HPO=${RATIO_HPO:-.venv/bin/ratio-hpo}
PYTHON=${PYTHON:-.venv/bin/python}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
[ $# -gt 0 ] || set -- 0 1 2 3 4
echo "| seed | seconds | COMPLETE | PRUNED | best ratio | best mean F1 | English only | hypervolume |"
echo "|---|---|---|---|---|---|---|---|"
for seed in "$@"; do
  began=$(date +%s)
  "$RATIO_HPO" search --space default --seed "$seed" --root "$root/$seed" --json >"$root/$seed.json" 2>"$root/$seed.log"
  seconds=$(($(date +%s) - began))
  "$PYTHON" - "$root/$seed.json" "$seed" "$seconds" <<'P'
import json, sys
status = json.load(open(sys.argv[1]))
best, first = status["best"], status["trials"][0]
print(f"| {sys.argv[2]} | {sys.argv[3]} | {status['counts']['COMPLETE']} | {status['counts']['PRUNED']} | {best['ratio']:.2f} "
      f"| {best['score']:.3f} | {first['score']:.3f} | {status['hypervolume']:.3f} |")
P
done
