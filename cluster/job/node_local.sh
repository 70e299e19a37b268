# ---- The node's own disk --------------------------------------------------------------------------

# The image is copied there by whichever job of a node is the first. # only: image_file
use_node_local() {
    [ -n "$each_node" ] || return 0 # only: multi_node
    copy_to_node # only: engine
    if ! copy_to_node; then # only: image_file
        say "the image is used from scratch, not from paths.node_local: ${node_local:-which is empty here}" # only: image_file
    fi # only: image_file
}

node_folder() { # the user's own, made where it is not there
    local folder
    folder=$node_local/slipway-$(id -un)
    # Where everybody may write, the folder may be somebody else's.
    [ -d "$node_local" ] && (umask 077 && mkdir -p "$folder") && [ -O "$folder" ] && [ ! -L "$folder" ] && echo "$folder"
}

copy_to_node() {
    local folder
    folder=$(node_folder) || return
    mkdir -p "$folder/images" "$folder/cache" || return
    exec 9>>"$folder/images/${image##*/}.lock" || return # only: image_file
    if await copy_image "$folder/images/${image##*/}"; then image_here=$folder/images/${image##*/}; fi # only: image_file
    fetch_cache "$folder/cache/${cache##*/}" # only: cache
    [ "$image_here" != "$image" ] # only: image_file
}

# @node_image@

readonly -f use_node_local node_folder copy_to_node

# @node_cache@
