# ---- Output on the node's own disk ---------------------------------------------------------------

# /out is a folder there. What is new in it is brought to scratch every so many seconds, as the limit comes near, and
# as the job ends. Its place on the node has the output (out), where it goes (to), and what keeps others off (lock).
use_node_output() {
    local folder old
    if ! command -v rsync >/dev/null || ! folder=$(node_folder) || ! mkdir -p "$folder/out"; then
        say "/out is on scratch, not on paths.node_local: ${node_local:-which is empty here}"
        return
    fi
    room=$folder/out/$run_id${task_index:+.$task_index}.$attempt
    # What an attempt that was killed on this node could not bring.
    for old in "${room%.*}".*/; do await rescue "${old%/}"; done
    mkdir -p "$room/out" && echo "$here" >"$room/to" && touch -d '2 seconds ago' "$room/since" || exit 1
    exec 7>>"$room/lock" && flock -n 7 && mkfifo "$room/pause" && exec 5<>"$room/pause" || exit 1
    out_here=$room/out
    say "/out is $out_here of this node, where $(free_mb) MB are free"
    keep_bringing </dev/null >/dev/null 2>&1 &
    bringer=$!
    disown "$bringer"
}

free_mb() { df --output=avail -BM "$room" | grep -Eo '[0-9]+' | tail -n 1; }

# Files get their names on scratch when they are whole. rsync takes a file of the same size and second for the same, so
# those that were written since the last time are brought whatever they look like.
bring() ( # a place on the node, more options of rsync
    read -r to <"$1/to" && mkdir -p "$to/out" "$to/out.part" && cd "$1/out" || exit
    exec 6>>"$1/bringing" && flock 6 && touch -d '2 seconds ago' "$1/next" || exit
    copy=(rsync -a "--temp-dir=$to/out.part" "--exclude=/.slipway-entry-*" "${@:2}")
    find . -type f -newer "$1/since" -print0 | "${copy[@]}" --ignore-times --from0 --files-from=- . "$to/out/"
    # Old files go when all new ones are there.
    "${copy[@]}" --delete-after . "$to/out/" || exit
    [ $# -gt 1 ] || mv "$1/next" "$1/since"
)

keep_bringing() {
    local old word
    trap '' TERM USR1
    while kill -0 $$; do
        # A pause, unless there is word that it is urgent. A `sleep` would outlive the job.
        read -r -t "$output_interval_s" -u 5 word
        [ "$word" != stop ] || exit 0
        bring "$room"
        for old in "${room%/*}"/*/; do rescue "${old%/}"; done
    done
}

# Brings what lies there of a job that is over, and was killed before it had brought all.
rescue() ( # a place on the node
    read -r to <"$1/to" && exec 7>>"$1/lock" && flock -n 7 || exit
    if [ ! -d "$to" ] || bring "$1"; then rm -rf "$1" "$to/out.part"; fi
) 2>/dev/null

bring_now() { [ -z "$room" ] || echo now >&5; }

bring_all() { # the program's exit code
    local free
    echo stop >&5
    kill -KILL "$bringer" 2>/dev/null
    free=$(free_mb)
    if [ "$1" -ne 0 ] && [ "${free:-10}" -lt 10 ]; then
        note="the disk of $room on $node_name is full; where output is on scratch there may be more room"
        say "$note"
    fi
    # The small files come first, since there may be little time.
    beside bring "$room" --max-size=20m
    # Where all processes are told to stop, rsync is as well.
    if beside bring "$room" || beside bring "$room"; then
        rm -rf "$room" "$here/out.part"
        return 0
    fi
    cat "$room/words"
    note="not all of /out was brought from $room on $node_name: $(head -n 1 "$room/words")"
    return 1
}

# Runs a command so that traps do not have to wait for its end.
beside() {
    local code pid
    "$@" >"$room/words" 2>&1 &
    pid=$!
    while
        wait "$pid"
        code=$?
        [ "$code" -gt 128 ] && kill -0 "$pid"
    do :; done 2>/dev/null
    return "$code"
}

bring_at_end() { # exit code, reason; fails where not all was brought
    local kept=$note
    [ -n "$room" ] || return 0
    # Unless that is taken back, the job was killed meanwhile.
    note="not all of /out was brought from $room on $node_name" # only: alone
    write_result "$1" "$2" # only: alone
    note=$kept
    # The scheduler waits for a job that it has told to stop, but not for long.
    if [ -n "$stopped" ]; then go_on "$1" "$2"; fi # only: chain
    bring_all "$1"
}
readonly -f use_node_output free_mb bring keep_bringing rescue bring_now bring_all beside bring_at_end
