# ---- SLURM: all that is known of the scheduler; another one has a block of its own here -----------

attempt=$((${SLURM_RESTART_COUNT:-0} + 1))
job_id=$SLURM_JOB_ID
# Of this job in an array; empty where it is in none. Unless tasks share jobs it is also the task's.
array_index=${SLURM_ARRAY_TASK_ID:-}
task_index=$array_index
node_name=${SLURMD_NODENAME:-$(hostname)}
# Of this node among the job's, from 0.
node_index=${SLURM_NODEID:-0}
job_nodes=${SLURM_JOB_NUM_NODES:-1}
# For the program on each node; empty where it was not asked for.
job_cpus=${SLURM_CPUS_PER_TASK:-}

# The names of the variables by which it tells a program of its job.
scheduler_variables() { compgen -A export SLURM_; }

# What SLURM calls this job; the id of one task of an array is that of the whole array, too.
own_id() { echo "${array_index:+${SLURM_ARRAY_JOB_ID}_}${array_index:-$job_id}"; }

# What SLURM says of a job that it has sent SIGTERM: time-limit, preempted or cancelled.
why_stopped() {
    local job
    job=$(timeout 5 scontrol --oneliner show job "$(own_id)" 2>/dev/null)
    if [[ $job == *" Reason=TimeLimit "* ]]; then
        echo time-limit
    elif [[ $job == *" PreemptTime="[0-9]* ]]; then
        echo preempted
    elif [[ $job =~ " Restarts="([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge "$attempt" ]; then
        # It will run again: it had to make room, or somebody has requeued it.
        echo preempted
    else
        echo cancelled
    fi
}

# What a program that shares its job is told: its own task, and its own processors. # only: bundles
show_task() { export SLURM_ARRAY_TASK_ID=$task_index; } # only: bundles
share_cpus() { export SLURM_CPUS_PER_TASK=$1; } # only: bundles
readonly -f show_task share_cpus # only: bundles

# @on_each_node@

# @begin_again@
readonly -f scheduler_variables own_id why_stopped

# ---- End of what is SLURM's -----------------------------------------------------------------------
