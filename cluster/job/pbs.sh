# ---- PBS: all that is known of the scheduler; another one has a block of its own here -------------

job_id=$PBS_JOBID
# Of this job in an array; empty where it is in none. Unless tasks share jobs it is also the task's. Torque calls it by
# another name; where PBS takes no such list of tasks, it counts from 0, and the tasks are in slipway_tasks: 1+3+5-9.
array_index=${PBS_ARRAY_INDEX:-${PBS_ARRAYID:-}}
list_tasks() {
    local part
    for part in ${slipway_tasks//+/ }; do seq "${part%-*}" "${part#*-}"; done
}
if [ -n "${slipway_tasks:-}" ]; then array_index=$(list_tasks | sed -n "$((${array_index:-0} + 1))p"); fi
unset slipway_tasks
if [ -n "$array_index" ]; then export PBS_ARRAY_INDEX=$array_index; fi
task_index=$array_index
# PBS does not tell a job how often it was begun: each time leaves a line. What this script starts is told.
if [ $# -eq 0 ]; then
    echo "$(date +%s) $(hostname)" >>"$run_dir/starts${array_index:+-$array_index}" || exit 1
    slipway_attempt=$(grep -c . "$run_dir/starts${array_index:+-$array_index}")
    export slipway_attempt
fi
attempt=${slipway_attempt:-1}
node_name=$(hostname)
# Of this node among the job's, from 0.
node_index=${slipway_node_index:-0}
job_hosts() { awk '!seen[$0]++' "${PBS_NODEFILE:-/dev/null}" 2>/dev/null; }
job_nodes=$(job_hosts | grep -c .)
if [ "$job_nodes" -eq 0 ]; then job_nodes=1; fi
# For the program on each node; empty where it was not asked for.
job_cpus=${NCPUS:-${PBS_NUM_PPN:-}}

# Torque tells in a file which GPUs a job has: HOST-gpu0.
own_gpus() {
    local line host gpus=''
    while read -r line; do
        host=${line%-gpu*}
        if [ "${host%%.*}" = "${node_name%%.*}" ]; then gpus+=,${line##*-gpu}; fi
    done <"$PBS_GPUFILE"
    echo "${gpus#,}"
}
if [ -z "${CUDA_VISIBLE_DEVICES+set}" ] && [ -s "${PBS_GPUFILE:-}" ]; then
    CUDA_VISIBLE_DEVICES=$(own_gpus)
    export CUDA_VISIBLE_DEVICES
fi

# The names of the variables by which it tells a program of its job; not those of where it was submitted, nor its cookie.
scheduler_variables() {
    compgen -A export PBS_ | grep -Ev '^PBS_(O_|JOBCOOKIE$|MOMPORT$)'
    compgen -A export NCPUS
}

# For how many seconds the job may run: as it was asked for, or else as its queue has it; empty where there is no limit.
find_limit() {
    local hours minutes seconds
    if [ -n "${slipway_limit_s:-${PBS_WALLTIME:-}}" ]; then
        echo "${slipway_limit_s:-$PBS_WALLTIME}"
        return
    fi
    IFS=: read -r hours minutes seconds < <(timeout 10 qstat -f "$job_id" 2>/dev/null |
        sed -n 's/^ *Resource_List\.walltime = \([0-9]*:[0-9]*:[0-9]*\)$/\1/p')
    [ -z "$hours" ] || echo $((10#$hours * 3600 + 10#$minutes * 60 + 10#$seconds))
}

# PBS has no warning before the limit. The time until then is from when the job's first script began.
warn_before_limit() { # when
    local script=$$ when=$1
    (
        {
            trap '' TERM USR1
            while kill -0 "$script" && [ "$(date +%s)" -lt "$when" ]; do sleep 1; done
            kill -USR1 "$script"
        } </dev/null >/dev/null 2>&1 &
    )
}
if [ $# -eq 0 ]; then
    slipway_limit_s=$(find_limit)
    slipway_limit_at=${slipway_limit_s:+$(($(date +%s) + slipway_limit_s))}
    slipway_grace_s=${slipway_grace_s:-0}
    if [ -n "$slipway_limit_s" ] && [ "$slipway_grace_s" -gt $((slipway_limit_s / 2)) ]; then
        slipway_grace_s=$((slipway_limit_s / 2))
    fi
    export slipway_limit_s slipway_limit_at slipway_grace_s
fi
if [ -n "$slipway_limit_at" ] && [ "${1:-}" != task ]; then warn_before_limit $((slipway_limit_at - slipway_grace_s)); fi

# PBS sends SIGTERM at the limit as it does for qdel, and does not say which of both it is. What has to make room is
# killed outright.
why_stopped() {
    local slack_s=10
    if [ -n "$slipway_limit_at" ]; then
        if [ "$slipway_limit_s" -lt 40 ]; then slack_s=$((slipway_limit_s / 4)); fi
        if [ "$(date +%s)" -ge $((slipway_limit_at - slack_s)) ]; then
            echo time-limit
            return
        fi
    fi
    echo cancelled
}

# What a program that shares its job is told: its own task, and its own processors. # only: bundles
show_task() { export PBS_ARRAY_INDEX=$task_index; } # only: bundles
share_cpus() { export NCPUS=$1 OMP_NUM_THREADS=$1; } # only: bundles
readonly -f show_task share_cpus # only: bundles

# @on_each_node@
readonly slipway_limit_s slipway_limit_at slipway_grace_s
readonly -f list_tasks job_hosts own_gpus scheduler_variables find_limit warn_before_limit why_stopped

# ---- End of what is PBS's -------------------------------------------------------------------------
