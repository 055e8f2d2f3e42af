#!/usr/bin/env bash
# The engine on CUDA: against a bare loop (bf16, fused AdamW), a model of XLM-R Large's shape, trials that share a
# GPU, and exact resume. Needs ratio-hpo installed with a CUDA build of torch. Minutes.
#     bash benchmarks/gpu.sh
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
$PYTHON -c 'import torch; assert torch.cuda.is_available(), "no CUDA device"; print(torch.__version__, torch.cuda.get_device_name())'
$PYTHON benchmarks/training.py --device cuda --steps 200 --sharing 4
$PYTHON benchmarks/training.py --device cuda --shape xlmr-large --steps 40 --pairs 3
