# ---- Enroot: what starts containers; another one has a block of its own here ----------------------

add_mount() { # a folder, where the program sees it, `ro` if it may not write there
    container+=(--mount "$1:$2:none:x-create=dir,rbind,${3:-rw}")
}

# The image was made for Apptainer, whose scripts set what the Docker image had as ENV.
# shellcheck disable=SC2016 # it is the container's shell that fills these in
prepare='for file in /.singularity.d/env/1*.sh /.singularity.d/env/90-environment.sh; do
    if [ -r "$file" ]; then . "$file"; fi
done
cd /code && exec "$@"'

# Becomes what runs a command in the image. NVIDIA's hook gives the container the GPUs that the job may use.
become_container() { # a command and its arguments
    export NVIDIA_VISIBLE_DEVICES=${with_gpus:+all} NVIDIA_DRIVER_CAPABILITIES=compute,utility
    if [ -z "$with_gpus" ]; then NVIDIA_VISIBLE_DEVICES=void; fi
    if [ -n "$with_home" ]; then export ENROOT_MOUNT_HOME=yes; fi
    exec "${container[@]}" "$image_here" /bin/sh -c "$prepare" slipway "$@"
}

# The process whose descendant the program is.
container_process() { # the process id of what has become the container
    echo "$1"
}

# Has the program told to stop.
stop_container() { # the process id of what has become the container
    kill -TERM "$1"
}
readonly with_gpus with_home prepare
readonly -f add_mount become_container container_process stop_container
