# ---- NVIDIA's Base Command Platform: all that is known of the scheduler -----------------------------

# The job runs in the image already, with the workspace mounted; in that, slipway/ is laid out as in scratch.
mirror=${run_dir%/*/*}
scratch=$SLIPWAY_SCRATCH
run_dir=$scratch/runs/$run_id
cache=$scratch${cache#"$mirror"} # only: cache
for number in "${!tries[@]}"; do tries[number]=$scratch${tries[number]#"$mirror"}; done # only: tries
job_id=${NGC_JOB_ID:-}
# The platform has no arrays: each task is a job of its own, which is told which one it is.
array_index=${SLIPWAY_TASK:-}
task_index=$array_index
# A job that the platform resumes is begun anew, by the same id.
if [ "${1:-}" != task ]; then echo "$job_id" >>"$run_dir/.starts${array_index:+-$array_index}" || exit 1; fi
attempt=$(sed -n '$=' "$run_dir/.starts${array_index:+-$array_index}")
node_name=$(hostname)
node_index=0
job_nodes=1
job_cpus=$(nproc)
limit_s=${SLIPWAY_LIMIT_S:-0} warn_s=${SLIPWAY_GRACE_S:-0}
ends=$(($(date +%s) + limit_s))

# The names of the variables by which it tells a program of its job.
scheduler_variables() { compgen -A export NGC_; }

# Nobody can be asked from here: what ends a job before its limit is a kill, or a preemption.
why_stopped() {
    if [ "$limit_s" -gt 0 ] && [ "$(date +%s)" -ge "$((ends - 1))" ]; then echo time-limit; else echo cancelled; fi
}

# The platform gives no warning, and what it ends at its limit it ends without a word. So the script ends at its own, which
# is earlier: a signal before, and one then.
watch_limit() { # the script's process id
    local seconds
    trap '' TERM USR1
    for seconds in "$((ends - warn_s))" "$ends"; do
        while [ "$(date +%s)" -lt "$seconds" ]; do
            kill -0 "$1" 2>/dev/null || exit
            sleep 1
        done
        if [ "$seconds" -lt "$ends" ]; then kill -USR1 "$1"; else kill -TERM "$1"; fi
    done
}
if [ "${1:-}" != task ] && [ "$limit_s" -gt 0 ]; then
    watch_limit $$ </dev/null >/dev/null 2>&1 &
    disown
fi

# What the program prints is also the job's own output, which the platform shows, and `ngc batch log` prints.
if command -v tail >/dev/null; then # only: alone
    echo "slipway: what follows is also in the log of attempt $attempt" # only: alone
    tail -n +1 -F --pid=$$ "$run_dir${task_index:+/task-$task_index}/attempt-$attempt/log" 2>/dev/null </dev/null & # only: alone
    disown # only: alone
fi # only: alone

# What a program that shares its job is told: its own task; it has all processors of the instance. # only: bundles
show_task() { export SLIPWAY_TASK=$task_index; } # only: bundles
share_cpus() { :; } # only: bundles
readonly -f show_task share_cpus # only: bundles

# @on_each_node@

# @begin_again@
export -n SLIPWAY_SCRATCH SLIPWAY_LIMIT_S SLIPWAY_GRACE_S
readonly mirror scratch limit_s warn_s ends
readonly -f scheduler_variables why_stopped watch_limit

# ---- End of what is the platform's ------------------------------------------------------------------
