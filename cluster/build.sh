#!/bin/bash -l
# Has this cluster build an image from a definition file. `invoke sif --remote-build` fills this in and runs it, on the
# login node or in a job.
# @settings@
folder=$(cd "$(dirname "$0")" && pwd)

# The site's modules, and its lines to run before a program.
# @modules@
# @before@
# ----------------------------------------------------------------------------------------------------

mkdir -p "$cache" || exit 1
# Apptainer's cache is one user's: where several share a scratch, the others do without.
[ -O "$cache" ] || cache=$folder/cache
export APPTAINER_CACHEDIR=$cache SINGULARITY_CACHEDIR=$cache
if ! command -v "$container" >/dev/null; then
    echo "$container is not to be found here; does the site's file name the module that brings it?" >&2
    exit 127
fi
if [ "$(uname -m)" != "$machine" ]; then
    echo "the image is for $machine, and this machine is $(uname -m)" >&2
    exit 65
fi

# Root of a namespace cannot own files on a file system that another machine looks after.
is_shared() {
    case $(stat -f -c %T "$1") in
        nfs* | lustre | gpfs | beegfs | fhgfs | afs | cifs | smb* | panfs | ceph | UNKNOWN*) return 0 ;;
        *) return 1 ;;
    esac
}
place=$folder/tmp
mkdir -p "$place" || exit 1
if is_shared "$place"; then
    for one in "${SLURM_TMPDIR:-}" "${TMPDIR:-}" /tmp; do
        if [ -n "$one" ] && [ -w "$one" ] && ! is_shared "$one"; then
            place=$(mktemp -d "$one/slipway-build.XXXXXX") || exit 1
            break
        fi
    done
fi
# What other users of a namespace own, only its root can remove.
tidy() {
    rm -rf "$place" 2>/dev/null || unshare --user --map-root-user --map-auto rm -rf "$place" 2>/dev/null
}
trap tidy EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
export APPTAINER_TMPDIR=$place SINGULARITY_TMPDIR=$place
unset APPTAINER_BIND APPTAINER_BINDPATH SINGULARITY_BIND SINGULARITY_BINDPATH

# zstd takes half of gzip's time, where Apptainer can be told; Singularity and old versions cannot.
options=(--force)
if [ "$compression" = zstd ] && "$container" build --help 2>/dev/null | grep -q -e --mksquashfs-args; then
    options+=(--mksquashfs-args '-comp zstd -Xcompression-level 3')
fi
mkdir "$folder/build" && tar -xf "$folder/build.tar" -C "$folder/build" && cd "$folder/build" || exit 1
rm -f "$folder/build.tar"
# Files of images that it starts from lie in the cache, where other builds find them.
for one in "${bases[@]}"; do
    mkdir -p "$(dirname "${one%%=*}")" && ln -s "${one#*=}" "${one%%=*}" || exit 1
done
[ ! -f arguments ] || options+=(--build-arg-file arguments)
make_sif() {
    "$container" build "${options[@]}" "$@" "$folder/image.sif" image.def 2>&1 | tee "$folder/build.log"
    return "${PIPESTATUS[0]}"
}

if [ "$(id -u)" = 0 ]; then
    make_sif || exit
elif unshare --user --map-root-user true 2>/dev/null || grep -q "^$(id -un):" /etc/subuid 2>/dev/null; then
    # A range of ids that is there need not work. Once commands have run, another way would only fail later.
    make_sif --fakeroot || {
        code=$?
        grep -q 'Running post scriptlet' "$folder/build.log" && exit "$code"
        make_sif --fakeroot --ignore-subuid || exit
    }
else
    echo "$(hostname) lets no user make namespaces (user.max_user_namespaces), nor is $(id -un) in its /etc/subuid" >&2
    exit 66
fi

"$container" inspect --json --labels "$folder/image.sif" >"$folder/labels.json" || exit
"$container" --silent exec --cleanenv --containall --no-home --pwd / "$folder/image.sif" cat /proc/self/environ \
    >"$folder/environment" </dev/null || rm -f "$folder/environment"
# As readable as this user's umask lets files be: a colleague who shares the scratch does not build it again.
chmod +rx "$folder/image.sif" || exit
sha256sum -b "$folder/image.sif" | cut -c 1-64 >"$folder/sha256"
