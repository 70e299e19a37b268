# ---- Docker: what starts containers; another one has a block of its own here ----------------------

# The engine starts the program, and no process of this job: neither the job's limits nor signals get there by
# themselves.

# @engine@

# The engine itself removes what is over.
tidy_up() { :; }

who_runs() {
    local group
    if docker info --format '{{.SecurityOptions}}' 2>/dev/null | grep -q rootless; then
        # There root of the container is this user, and its other users are nobody here.
        container+=(--user 0:0)
        return
    fi
    container+=(--user "$EUID:$(id -g)")
    for group in $(id -G); do container+=(--group-add "$group"); done
}

# The job's own processors, where those are not all of the node's.
keep_to_cpus() {
    local mine
    mine=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
    [ -z "$mine" ] || [ "$mine" = "$(cat /sys/devices/system/cpu/online)" ] || container+=(--cpuset-cpus "$mine")
} 2>/dev/null

# By the names that they have for all: how they are counted here is not how Docker counts them.
add_gpus() { # their names
    count_gpus "$1"
    if docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"nvidia"' ||
        command -v nvidia-container-runtime-hook >/dev/null; then
        container+=(--gpus "\"device=${1:-all}\"")
    else
        add_cdi_gpus "$1"
    fi
}

# The engine counts what the kernel has killed of the container.
out_of_memory() {
    [ "$(memory_kills)" -gt "$kills_before" ] || [ -n "$(oom_events 2>/dev/null)" ]
}

oom_events() {
    timeout 30 docker events --since "$started" --until "$(date +%s.%N)" --filter event=oom \
        --filter "container=$(container_name)" --format '{{.Action}}'
}
readonly -f tidy_up who_runs keep_to_cpus add_gpus out_of_memory oom_events
