# ---- Several tasks side by side -------------------------------------------------------------------

# Each lane has its part of the job's processors and GPUs. Memory is the job's: nothing divides that.
take_share() { # the lane's number, from 0
    local all=() mine=() count
    read -r -a all < <(own_cpus)
    count=$((${#all[@]} / side_by_side))
    # Cores that SLURM counts are what was asked for; without that, each has its part of what there is.
    share_cpus "$((${job_cpus:-0} >= side_by_side ? job_cpus / side_by_side : count > 0 ? count : 1))"
    if [ "$count" -gt 0 ]; then
        mine=("${all[@]:$(($1 * count)):count}")
        taskset -cp "$(join "${mine[@]}")" "$BASHPID" >/dev/null || say "lane $1 is not kept to its processors"
    fi
    if [ "$gpus_each" -eq 0 ]; then return; fi
    if [ -n "${CUDA_VISIBLE_DEVICES:-}" ]; then
        read -r -a all <<<"${CUDA_VISIBLE_DEVICES//,/ }"
    else
        # The job has whole nodes, or asks for no GPUs by the scheduler.
        read -r -a all < <(seq -s ' ' 0 $((side_by_side * gpus_each - 1)))
    fi
    if [ "${#all[@]}" -lt $((side_by_side * gpus_each)) ]; then
        say "the job has ${#all[@]} GPUs for $side_by_side lanes of $gpus_each; all lanes see all of them"
        return
    fi
    mine=("${all[@]:$(($1 * gpus_each)):gpus_each}")
    CUDA_VISIBLE_DEVICES=$(join "${mine[@]}")
    export CUDA_VISIBLE_DEVICES
}

join() {
    local IFS=,
    echo "$*"
}

# The processors that this job may use, those of a core beside each other; nothing where that cannot be found out.
own_cpus() {
    local range cpu allowed=()
    command -v taskset >/dev/null || return
    for range in $(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | tr , ' '); do
        for ((cpu = ${range%-*}; cpu <= ${range#*-}; cpu++)); do allowed[cpu]=$cpu; done
    done
    for cpu in $(lscpu -p=SOCKET,CORE,CPU 2>/dev/null | grep -v '^#' | sort -t, -n -k1,1 -k2,2 -k3,3 | cut -d, -f3); do
        if [ -n "${allowed[cpu]}" ]; then
            printf '%s ' "$cpu"
            unset "allowed[cpu]"
        fi
    done
    echo "${allowed[*]}"
}
readonly -f take_share join own_cpus
