#!/bin/sh
# Builds both images without Docker, and runs the stack of compose.yaml on them without a network.
#
#   sh docker/check.sh
#
# Buildah builds the very Dockerfile. Its base image is a minimal Debian from debootstrap, of the same release
# and the same version of Python, since no registry of images is asked. Wheels are fetched outside, with this
# machine's own settings of pip (and TORCH_INDEX, if set), and installed from a directory. Needs root, the Debian
# packages debootstrap, buildah and iproute2, and the virtual environment that `make check` creates.
set -eu
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
base=$(sed -n '0,/^FROM/s/^FROM \([^ ]*\).*/\1/p' docker/Dockerfile)
version=$(expr "$base" : 'python:\([0-9]*\.[0-9]*\)')
release=${base##*-}
[ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = "$version" ] ||
    { echo "Wheels for $base need Python $version in .venv." >&2; exit 2; }

work=$(mktemp -d)
# Where overlays cannot be mounted, as inside another container, STORAGE_DRIVER=vfs takes 8 GB and longer.
buildah() { command buildah --storage-driver "${STORAGE_DRIVER:-overlay}" --root "$work/images" --runroot "$work/run" "$@"; }
trap 'buildah rm --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

step() { echo "[$(date +%T)] $*"; }

step "A clean $release in place of $base"
debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,python-is-python3,ca-certificates \
    "$release" "$work/debian" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$work/debootstrap.log" ||
    { tail "$work/debootstrap.log" >&2; exit 1; }
container=$(buildah from scratch)
buildah copy --quiet "$container" "$work/debian" / >/dev/null
buildah commit --quiet --rm "$container" "docker.io/library/$base" >/dev/null
rm -rf "$work/debian"

step "Wheels"
wheel() {
    "$python" -m pip wheel -qq --disable-pip-version-check --wheel-dir "$work/wheels" \
        --find-links "$work/wheels" --constraint constraints.txt "$@"
}
if [ -n "${TORCH_INDEX:-}" ]; then wheel --index-url "$TORCH_INDEX" torch; fi
wheel hatchling "softstore[api,trainer,cluster,kaldi,metrics,demo] @ file://$PWD"
rm "$work"/wheels/softstore-*.whl
# Indexes are ignored, TORCH_INDEX too: but its step is taken.
printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$work/pip.conf"

for target in service trainer; do
    extras=
    [ $target = service ] || extras=--build-arg=TRAINER_EXTRAS=trainer,cluster,kaldi,metrics,demo
    step "Image $target"
    buildah build --quiet --pull-never --isolation chroot --format docker --file docker/Dockerfile \
        --ignorefile docker/Dockerfile.dockerignore --volume "$work/wheels:/wheels:ro" \
        --volume "$work/pip.conf:/etc/pip.conf:ro" --build-arg TORCH_INDEX=none --target $target $extras \
        --tag softstore-$target . >/dev/null
    container=$(buildah from --pull-never softstore-$target)
    buildah mount "$container" >"$work/$target.root"
    buildah inspect --type image softstore-$target >"$work/$target.json"
    du --summarize --block-size=MB "$(cat "$work/$target.root")/opt/softstore" | sed 's/\t.*/ of packages/'
done

step "compose.yaml"
# What it starts and mounts ends with it.
unshare --mount --net --pid --fork --kill-child "$python" docker/check_compose.py "$work"
step "Done"
