# ---- Apptainer and Singularity: what starts containers; another one has a block of its own here ---

add_mount() { # a folder, where the program sees it, `ro` if it may not write there
    container+=(--bind "$1:$2${3:+:$3}")
}

# Becomes what runs a command in the image, on a node.
become_container() { exec "${container[@]}" "$image_here" "$@"; }

# The process whose descendant the program is.
container_process() { # the process id of what has become the container
    echo "$1"
}

# Has the program told to stop.
stop_container() { # the process id of what has become the container
    kill -TERM "$1"
}
readonly -f add_mount become_container container_process stop_container
