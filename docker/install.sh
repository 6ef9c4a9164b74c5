#!/bin/sh
# Installs softstore with one set of extras into the Python on PATH; the image's only install step.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
python -m pip install --no-cache-dir --disable-pip-version-check \
    --constraint "$source/constraints.txt" "softstore[$1] @ file://$source"
