# ---- Packed data ----------------------------------------------------------------------------------

# A folder that is bound as /data may hide images in it, by the order in which a version of Apptainer binds them. So each
# dataset is bound by itself.
bind_data() {
    local place name pair
    for place in "$data"/*; do
        name=${place##*/}
        if is_packed "$name" || [ ! -e "$place" ]; then continue; fi
        case $place in
        *[:,\\]*) say "$place is not in /data: Apptainer binds no name with : , or \\ in it" ;;
        *) container+=(--bind "$place:/data/$name:ro") ;;
        esac
    done
    for pair in "${packed[@]}"; do
        if [ ! -r "${pair#*=}" ]; then
            say "${pair#*=} is gone: stage ${pair%%=*} again, then submit again"
            finish 1 launch-failure
        fi
        container+=(--bind "${pair#*=}:/data/${pair%%=*}:image-src=/,ro")
    done
}

is_packed() { # a dataset's name
    local pair
    for pair in "${packed[@]}"; do
        if [ "${pair%%=*}" = "$1" ]; then return 0; fi
    done
    return 1
}
readonly -f bind_data is_packed
