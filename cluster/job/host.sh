# ---- A host's own queue: all that is known of it; slipway/scheduler/host/there/ sets these -----------

attempt=$((${SLIPWAY_RESTARTS:-0} + 1))
job_id=$SLIPWAY_JOB_ID
array_index=${SLIPWAY_ARRAY_INDEX:-}
task_index=$array_index
node_name=$(hostname)
node_index=0
job_nodes=1
# For the program; empty where it was not asked for.
job_cpus=${SLIPWAY_CPUS:-}
job_mem_mib=${SLIPWAY_MEM_MIB:-}

# A program that was written for arrays of SLURM finds its number where it looks for it.
if [ -n "$array_index" ]; then export SLURM_ARRAY_TASK_ID=$array_index; fi

# The names of the variables by which it tells a program of its job.
scheduler_variables() { compgen -A export SLURM_ARRAY_TASK_ID; }

# Why this script was sent SIGTERM: time-limit, cancelled or node-failure.
why_stopped() {
    local why
    why=$(cat "$SLIPWAY_STOPPED" 2>/dev/null)
    echo "${why:-cancelled}"
}

# What a program that shares its job is told: its own task, and its own processors. # only: bundles
show_task() { export SLURM_ARRAY_TASK_ID=$task_index; } # only: bundles
share_cpus() { :; } # only: bundles
readonly -f show_task share_cpus # only: bundles

# @on_each_node@

# @begin_again@
readonly -f scheduler_variables why_stopped

# ---- End of what is the queue's ---------------------------------------------------------------------
