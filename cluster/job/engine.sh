# What its image is called there, and how it is brought there, and what starts and stops it.
container_name() {
    local name=slipway-$run_id${task_index:+-task-$task_index}-attempt-$attempt-$node_index
    echo "${name//[!A-Za-z0-9_.-]/-}"
}

add_mount() { # a folder, where the program sees it, `ro` if it may not write there
    container+=(--mount "type=bind,source=$1,target=$2${3:+,readonly}")
}

# The image by its id; by its own tag where this engine has given it another id as it was loaded.
find_loaded() {
    local name
    for name in "$image_id" "$image_tag"; do
        if "$engine" image inspect "$name" >/dev/null 2>&1; then image_there=$name && return 0; fi
    done
    return 1
}

load_image() (
    # What begins at the same time does not load it once more.
    { exec 4>>"${XDG_RUNTIME_DIR:-/tmp}/slipway-load-$EUID" && flock -w 1800 4; } 2>/dev/null
    if find_loaded; then exit; fi
    # Its own words on that are in the log.
    if ! "$engine" info >/dev/null; then say "$engine of this machine does not answer" && exit 1; fi
    case $image in
    *.tar) ;;
    *) say "$engine of this machine does not have the image (any more): push it again" && exit 1 ;;
    esac
    loaded=$("$engine" load --quiet --input "$image") || exit
    say "image loaded from $image"
    # It has no name, and what has none is soon tidied up.
    "$engine" tag "$image_id" "$image_tag" 2>/dev/null || "$engine" tag "${loaded##* }" "$image_tag"
)

prepare_container() {
    tidy_up
    find_loaded || await load_image
    if ! find_loaded; then failure=launch-failure && return 1; fi
    who_runs
    keep_to_cpus
    if [ -n "$with_gpus" ]; then add_gpus "$(gpu_names)"; fi
    if [ -n "$with_home" ]; then
        add_mount "$HOME" "$HOME"
        container+=(--env "HOME=$HOME")
    fi
    container+=(--env "SLIPWAY_CONTAINER=$engine:$(container_name)")
}

# The names of the job's GPUs, with commas; nothing for all that there are.
gpu_names() {
    local names
    [ -n "${CUDA_VISIBLE_DEVICES:-}" ] || return
    names=$(nvidia-smi --query-gpu=uuid --format=csv,noheader "--id=$CUDA_VISIBLE_DEVICES" | tr '\n' ,)
    names=${names%,}
    echo "${names:-$CUDA_VISIBLE_DEVICES}"
} 2>/dev/null

# In the container there are no others, and these are counted from 0.
count_gpus() { # their names
    local names
    IFS=, read -r -a names <<<"$1"
    if [ "${#names[@]}" -gt 0 ]; then gpus_inside=$(seq -s , 0 $((${#names[@]} - 1))); fi
}

add_cdi_gpus() { # their names
    local name names
    IFS=, read -r -a names <<<"${1:-all}"
    for name in "${names[@]}"; do container+=(--device "nvidia.com/gpu=$name"); done
}

# Its standard input stays open as long as this script lives, and what goes with that ends the program: also where the
# script is killed, and can end nothing itself.
become_container() { # a command and its arguments
    local words=(--name "$(container_name)" --entrypoint "$1" "$image_there")
    shift
    # All processes may be told to stop at once: what holds it open goes on, and the engine's own program hands it on.
    exec < <(trap '' TERM USR1 && exec tail -s 1 --pid=$$ -f /dev/null) # only: no_shell
    exec "${container[@]}" "${words[@]}" "$@"
}

container_process() { "$engine" inspect --format '{{.State.Pid}}' "$(container_name)"; }

stop_container() { # the process id of what has become the container
    # Before the program is reached the signal would be lost: the first process of a container takes none that it has no
    # handler for yet.
    (
        {
            trap '' TERM USR1
            while kill -0 "$1"; do
                if [ ! -e "$out_here/$entry" ] && "$engine" kill --signal TERM "$(container_name)"; then break; fi
                sleep 0.2
            done
        } </dev/null >/dev/null 2>&1 &
    )
}
readonly -f container_name add_mount find_loaded load_image prepare_container gpu_names count_gpus add_cdi_gpus \
    become_container container_process stop_container
readonly image_id image_tag engine with_gpus with_home
