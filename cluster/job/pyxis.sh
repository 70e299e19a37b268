# ---- Pyxis: SLURM itself starts the container, as a step of the job -------------------------------

add_mount() { # a folder, where the program sees it, `ro` if it may not write there
    # The last word has the mounts.
    container[${#container[@]} - 1]+=",$1:$2:${3:-rw}"
}

# The image was made for Apptainer, whose scripts set what the Docker image had as ENV.
# shellcheck disable=SC2016 # it is the container's shell that fills these in
prepare='for file in /.singularity.d/env/1*.sh /.singularity.d/env/90-environment.sh; do
    if [ -r "$file" ]; then . "$file"; fi
done
cd /code && exec "$@"'

# Becomes what runs a command in the image. All that is exported here would be in the container as well.
become_container() { # a command and its arguments
    local name exported=("PATH=$PATH" "HOME=$HOME")
    for name in $(compgen -A export SLURM); do exported+=("$name=${!name}"); done
    exec env -i "${exported[@]}" "${container[@]}" "--container-image=$image_here" "--nodelist=$node_name" \
        ${job_cpus:+"--cpus-per-task=$job_cpus"} /bin/sh -c "$prepare" slipway "$@"
}

# The step's processes are not below this script's.
container_process() {
    local file pid
    for pid in $(grep -lFxz "SLIPWAY_RUN=$run_id" /proc/[0-9]*/environ | tr -cd '0-9\n' | sort -n); do
        file=/proc/$pid/environ
        if grep -Fqxz "SLIPWAY_JOINED=$run_id" "$file" || ! grep -Fqxz "SLIPWAY_ATTEMPT=$attempt" "$file"; then continue; fi
        if [ -n "$task_index" ] && ! grep -Fqxz "SLIPWAY_TASK=$task_index" "$file"; then continue; fi
        echo "$pid"
        return
    done
} 2>/dev/null

# SLURM tells the steps of a job what it tells the job. Where the script itself wants it to stop, SLURM is asked to.
stop_container() {
    # Without more it goes to the steps, and not to this script.
    timeout 10 scancel --signal=TERM "$job_id"
}

# A step has a cgroup of its own beside this script's; that of the job counts for both.
out_of_memory() {
    local path count
    [ "$(memory_kills)" -eq "$kills_before" ] || return 0
    path=$(sed -n 's/^0:://p' /proc/self/cgroup)
    count=$(sed -n 's/^oom_kill \([0-9]*\)$/\1/p' "/sys/fs/cgroup${path%/step_*}/memory.events" 2>/dev/null)
    [ "${count:-0}" -gt 0 ]
}
readonly prepare
readonly -f add_mount become_container container_process stop_container out_of_memory
