#!/bin/bash -l
# Has this cluster pull an image from a registry by itself. `invoke push --from-registry` fills this in and runs it,
# on the login node or in a job.
# @settings@
folder=$(cd "$(dirname "$0")" && pwd)

# The site's modules, and its lines to run before a program.
# @modules@
# @before@
# ----------------------------------------------------------------------------------------------------

mkdir -p "$cache" || exit 1
# Apptainer's cache is one user's: where several share a scratch, the others do without.
[ -O "$cache" ] || cache=$folder/cache
# Layers that are whole stay in the cache for the next image, and for the next try.
export APPTAINER_CACHEDIR=$cache SINGULARITY_CACHEDIR=$cache
export APPTAINER_TMPDIR=$folder SINGULARITY_TMPDIR=$folder
# The credentials lie in a file that only this user can read, and that is removed after the pull.
if [ -s "$folder/login/docker-config.json" ]; then
    export APPTAINER_CONFIGDIR=$folder/login SINGULARITY_CONFIGDIR=$folder/login
fi
if ! command -v "$container" >/dev/null; then
    echo "$container is not to be found here; does the site's file name the module that brings it?" >&2
    exit 127
fi

# zstd takes half of gzip's time, where Apptainer can be told; Singularity and old versions cannot.
squashfs=()
if [ "$compression" = zstd ] && "$container" build --help 2>/dev/null | grep -q -e --mksquashfs-args; then
    squashfs=(--mksquashfs-args '-comp zstd -Xcompression-level 3')
fi
make_sif() {
    "$container" build --force "${options[@]}" "${squashfs[@]}" "$@" "$folder/image.sif" "$source"
}

case $source in
    oras://*) "$container" pull --force --disable-cache "${options[@]}" "$folder/image.sif" "$source" ;;
    *)
        # As an ordinary user Apptainer leaves files empty that only root of the image may read; as root of a
        # namespace it reads them, and where there is none, their permissions have to change.
        if unshare --user --map-root-user true 2>/dev/null && make_sif --fakeroot; then
            true
        else
            make_sif --fix-perms
        fi
        ;;
esac || exit
"$container" inspect "$folder/image.sif" >/dev/null || exit
# As readable as this user's umask lets files be: a colleague who shares the scratch does not pull it again.
chmod +rx "$folder/image.sif" || exit
sha256sum -b "$folder/image.sif" | cut -c 1-64 >"$folder/sha256"
