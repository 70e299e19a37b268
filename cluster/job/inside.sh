# ---- The job runs in the image already: nothing is started, and folders become links --------------

unplaced=''

add_mount() { # a folder, where the program sees it
    put_in_place "$2" && ln -s "$(workspace_path "$1")" "$2" || unplaced=yes
}

# What the image has there is put beside it.
put_in_place() { # where the program is to see something
    local place
    if [ -L "$1" ]; then
        rm -f "$1"
    elif [ -e "$1" ]; then
        rmdir "$1" || mv "$1" "$1.image"
    fi 2>/dev/null
    place=${1%/*}
    mkdir -p "${place:-/}"
    if [ ! -e "$1" ] && [ -w "${place:-/}" ]; then return 0; fi
    say "$1 cannot be made in the image: who runs there may not write in ${place:-/}, or something is mounted there"
    return 1
}

# A path in scratch as the job has it.
workspace_path() {
    case $1 in
    "$mirror"/*) echo "$scratch${1#"$mirror"}" ;;
    *) echo "$1" ;;
    esac
}

# The tree comes as one file, with its hash beside it.
unpack_code() { # the tree's path
    if ! (cd "${1%/*}" && sha256sum --quiet -c "${1##*/}.tar.sha256"); then
        say "the code is not in the workspace, or not whole: submit again"
        return 1
    fi
    put_in_place /code && mkdir /code && tar -xf "$1.tar" -C /code --no-same-owner && chmod -R a-w /code
}

# Datasets of the workspace, and the platform's own.
link_data() { # the folder of the workspace's
    local one
    put_in_place /data && mkdir /data || return
    for one in "$1"/* /mnt/slipway-data/*; do
        [ ! -e "$one" ] || ln -sfn "$one" "/data/${one##*/}" || return
    done
}

# Becomes what runs a command in the image, which is $image_here.
become_container() {
    local pair
    : "$image_here"
    for pair in "${container[@]}"; do
        case ${pair#*=} in
        /code) unpack_code "$(workspace_path "${pair%%=*}")" || exit 1 ;;
        /data) link_data "$(workspace_path "${pair%%=*}")" || exit 1 ;;
        *) add_mount "${pair%%=*}" "${pair#*=}" ;;
        esac
    done
    [ -z "$unplaced" ] && cd /code || exit 1
    exec "$@"
}

# What the job sees of its cgroup begins with that, whatever its path is outside.
memory_kills() { # how many processes the kernel has killed
    local file count=''
    for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
        count=$(sed -n 's/^oom_kill \([0-9]*\)$/\1/p' "$file" 2>/dev/null)
        if [ -n "$count" ]; then break; fi
    done
    echo "${count:-0}"
}

# The process whose descendant the program is.
container_process() { # the process id of what has become the program
    echo "$1"
}

# Has the program told to stop.
stop_container() { # the process id of what has become the program
    kill -TERM "$1"
}
readonly -f add_mount put_in_place workspace_path unpack_code link_data become_container container_process stop_container
