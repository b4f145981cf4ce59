#!/usr/bin/env bash
# Measures on a machine with a graphics card that has Python 3.12 and torch, and that nothing can be installed on from
# the network: what else is needed is collected into a folder beforehand, on a machine where segtween runs.
#
#   tools/measure-gpu.sh collect FOLDER    wheels of the small dependencies, and the rendered clip; prints their size
#   tools/measure-gpu.sh run FOLDER OUT    on the card's machine, in the same checkout: tests/device/test_cuda.py, then
#                                          the benchmark of docs/gpu.md; OUT gets tests.xml, gpu.json and machine.txt
#
# The device needs none of OPTIONAL. `run` takes at most 8 minutes: what takes longer is ended. By environment:
# PYTHON (python3), DEVICE (cuda), MODEL (swiftnet-r18), SIZE (2048x1024), SCALE (0.75), REPEATS (200),
# THREADS (0, all). DEVICE=torch-cpu with a small SIZE, collected for it, tries all of it without a card.
set -euo pipefail

CARRIED="numpy safetensors PyYAML pydantic annotated-types typer rich"
OPTIONAL="opencv-python-headless av openvino numba"
TOOLS="pytest pytest-timeout hatchling"
SETUP_SECONDS=60 TEST_SECONDS=180 BENCH_SECONDS=240

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3} size=${SIZE:-2048x1024}

usage() {
    sed -n '5,8p' "$0" >&2
    exit 2
}

collect() {
    local folder=$1 platforms=()
    for tag in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014 manylinux_2_5 manylinux1; do
        platforms+=(--platform "${tag}_x86_64")
    done
    mkdir -p "$folder/wheels"
    # shellcheck disable=SC2086
    "$python" -m pip download --quiet --only-binary=:all: --implementation cp --python-version "${TARGET:-3.12}" \
        "${platforms[@]}" --constraint "$root/constraints.txt" --dest "$folder/wheels" $CARRIED $TOOLS
    SEGTWEEN_CACHE="$folder/cache" PYTHONPATH="$root/src" "$python" -c '
import sys
from segtween.bench.plan import clip_frames
width, height = map(int, sys.argv[1].split("x"))
clip_frames("street", (height, width))' "$size"
    ls "$folder/wheels" "$folder/cache/clips"
    du -sb "$folder" | awk '{ printf "%.1f MiB in all\n", $1 / 1048576 }'
}

run() {
    local folder=$1 out=$2 failed=0
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    mkdir -p "$out"
    export PYTHONPATH="$site" SEGTWEEN_CACHE="$site/cache"
    cp -r "$folder/cache" "$SEGTWEEN_CACHE"
    timeout "$SETUP_SECONDS" "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" \
        "$folder"/wheels/*.whl
    timeout "$SETUP_SECONDS" "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-build-isolation \
        --target "$site" "$root"
    {
        git -C "$root" rev-parse --short HEAD || echo "commit unknown"
        nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || echo "no nvidia-smi"
        "$python" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
    } >"$out/machine.txt" 2>&1
    cat "$out/machine.txt"
    cd "$root"
    timeout "$TEST_SECONDS" "$python" -m pytest tests/device/test_cuda.py -rs -p no:cacheprovider \
        --junitxml "$out/tests.xml" || failed=1
    timeout "$BENCH_SECONDS" "$python" -m segtween bench device "${DEVICE:-cuda}" --model "${MODEL:-swiftnet-r18}" \
        --size "$size" --scale "${SCALE:-0.75}" --intervals 0,4 --repeats "${REPEATS:-200}" --against reference,torch \
        --threads "${THREADS:-0}" --json "$out/gpu.json" || failed=1
    return $failed
}

case "${1:-}:$#" in
    collect:2) collect "$2" ;;
    run:3) run "$2" "$3" ;;
    *) usage ;;
esac
