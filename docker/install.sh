#!/bin/sh
# Installs softstore with one set of extras into a new virtual environment; the images' only install step.
#
#   sh docker/install.sh EXTRAS DIRECTORY
#
# With TORCH_INDEX in the environment, torch comes from that pip index.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
extras=$1 directory=$2

# Without pip of its own: nothing shall be installed into a running image.
python -m venv --without-pip "$directory"

install() {
    python -m pip --python "$directory/bin/python" install --no-cache-dir --disable-pip-version-check \
        --root-user-action ignore --constraint "$source/constraints.txt" "$@"
}
if [ -n "${TORCH_INDEX:-}" ]; then
    install --index-url "$TORCH_INDEX" torch
fi
install "softstore[$extras] @ file://$source"

# What torch's wheel brings to build and test C++ extensions: 190 MB that nothing here runs.
cd "$directory"/lib/python*/site-packages/torch
rm -rf include test bin/protoc* bin/*[Tt]est*
