# ---- Podman: what starts containers; another one has a block of its own here ----------------------

# There is no engine that runs on: the container is below this job's processes, in its cgroup, with its limits.

# @engine@

who_runs() {
    container+=(--label "slipway.node=$(hostname)" --user "$EUID:$(id -g)")
    # Root needs no namespace of its own to be itself.
    if [ "$EUID" -ne 0 ]; then container+=(--userns=keep-id --group-add keep-groups); fi
}

# The cgroup of the job has its processors, and what is in it is kept to them.
keep_to_cpus() { :; }

add_gpus() { # their names
    count_gpus "$1"
    add_cdi_gpus "$1"
}

# Where all of a job was killed at once, nobody was left to remove its container, nor the process that holds the user's
# namespaces: without that Podman does nothing until it is told to begin anew.
tidy_up() {
    local name pid state
    case $(podman info 2>&1 >/dev/null) in *"podman system migrate"*) podman system migrate ;; esac
    podman ps --all --filter "label=slipway.node=$(hostname)" --format '{{.Names}} {{.Pid}} {{.State}}' |
        while read -r name pid state; do
            # What is about to begin has no process yet.
            if [ "$state" = created ] || { [ "$pid" -gt 0 ] && kill -0 "$pid"; }; then continue; fi
            podman rm --force "$name"
        done
} </dev/null >/dev/null 2>&1
readonly -f who_runs keep_to_cpus add_gpus tidy_up
