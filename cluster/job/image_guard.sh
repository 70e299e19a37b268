# ---- The process that serves the image -----------------------------------------------------------

# Apptainer serves the image by a process of its own, which SIGTERM would end under the feet of a program that is
# saving: where processes are not tracked by cgroups, all of them get it. What is ignored stays ignored.
# An Apptainer that has its own such program, in libexec/apptainer/bin, takes that first: docs/jobs.md.
guard_image() {
    local name path
    shield=$here/shield-$node_index
    mkdir -p "$shield" || return
    for name in squashfuse_ll squashfuse fuse-overlayfs fuse2fs; do
        path=$(command -v "$name") || continue
        printf '#!/bin/sh\ntrap "" TERM USR1\nexec %q "$@"\n' "$path" >"$shield/$name" && chmod 755 "$shield/$name"
        # Scratch may be mounted so that nothing in it can be started.
        [ -x "$shield/$name" ] || rm -f "$shield/$name"
    done
    PATH=$shield:$PATH
}
readonly -f guard_image
