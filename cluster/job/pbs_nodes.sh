# Runs a command once on each node of the job. As soon as one fails, the others are killed. PBS itself tells all of them
# of the job's end, and each has its own warning before the limit. What they print PBS would put into its own log.
on_each_node() {
    local host index=0 code worst=0 parts=()
    trap '' USR1
    if [ "$job_nodes" -lt "$nodes" ]; then say "PBS gave the job $job_nodes of $nodes nodes" && return 1; fi
    for host in $(job_hosts); do
        # shellcheck disable=SC2016 # the node's shell fills these in
        start_on "$host" env "slipway_attempt=$attempt" "slipway_node_index=$index" "slipway_limit_s=$slipway_limit_s" \
            "slipway_limit_at=$slipway_limit_at" "slipway_grace_s=$slipway_grace_s" slipway_tasks= \
            ${array_index:+"PBS_ARRAY_INDEX=$array_index"} "PBS_NODEFILE=$PBS_NODEFILE" \
            ${job_cpus:+"NCPUS=$job_cpus"} /bin/bash -c 'exec >>"$0" 2>&1 && exec "$@"' "$here/log" "$@" </dev/null &
        parts+=($!)
        index=$((index + 1))
    done
    for _ in "${parts[@]}"; do
        wait -n
        code=$?
        [ "$code" -ne 0 ] || continue
        [ "$worst" -ne 0 ] || { worst=$code && kill -TERM "${parts[@]}" 2>/dev/null; }
    done
    return "$worst"
}

# PBS Professional has pbs_tmrsh, Torque's pbsdsh can name a host.
start_on() { # host, command
    local host=$1
    shift
    if command -v pbs_tmrsh >/dev/null; then
        exec pbs_tmrsh "$host" "$@"
    fi
    exec pbsdsh -h "$host" "$@"
}
readonly -f on_each_node start_on
