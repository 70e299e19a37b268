# Becomes what runs a command once on each node of the job, and passes signals on to them. As soon as one fails, the
# others are killed.
on_each_node() {
    exec srun --nodes="$nodes" --ntasks-per-node=1 --export=ALL --kill-on-bad-exit=1 --input=none \
        ${job_cpus:+"--cpus-per-task=$job_cpus"} "$@"
}
readonly -f on_each_node
