#!/usr/bin/env bash
# Puts NVRTC, which compiles the kernels when a model is loaded, into a folder, from PyPI; prints how to name it.
# Needed only where no CUDA toolkit is installed: `cargo build --features cuda` itself needs nothing of CUDA.
#
#     eval "$(benches/cuda/setup.sh ~/.cache/proofmark-cuda)"
#
# NVRTC must not be newer than the driver (`nvidia-smi` shows the newest CUDA that it takes): NVRTC=12.9.86 for CUDA 12.
set -euo pipefail
folder="${1:-$HOME/.cache/proofmark-cuda}"
version="${NVRTC-13.0.88}"
case "$version" in
12.*) package=nvidia-cuda-nvrtc-cu12 ;;
*) package=nvidia-cuda-nvrtc ;;
esac
python3 -m pip install --quiet --no-deps --upgrade --target "$folder" "$package==$version" >&2
library="$(find "$folder" -name 'libnvrtc.so.*' | head -n 1)"
[ -n "$library" ] || { echo "$package $version holds no libnvrtc.so" >&2; exit 1; }
echo "export LD_LIBRARY_PATH='$(dirname "$library")'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
