# ---- A job that is there for shells ----------------------------------------------------------------

# What is run is whatever joins the job (cluster/join.sh). Each that does has a file in joined/, by its process id, with the
# name of its terminal. The container is kept by a program that waits to be told its exit code.
# shellcheck disable=SC2016 # it is the container's shell that fills this in
use_shell() {
    program=(/bin/sh -c 'read -r code && exit "$code"')
    rm -rf "$run_dir/joined"
    mkdir "$run_dir/joined" || exit 1
}

# Prints the exit code of the last that has ended, once nobody is joined any more; 129, a hang-up, where that was cut off.
# A connection that is cut kills what has joined by it, but nobody comes to know by that.
wait_for_shells() { # the container's process id
    local file pid alive seen='' last=129 until=$((SECONDS + 120))
    while kill -0 "$1"; do
        alive=$shell_stays
        for file in "$run_dir/joined"/*[0-9]; do
            pid=${file##*/}
            [ -e "$file" ] || continue
            seen=yes
            if kill -0 "$pid"; then
                alive=yes
            elif [ -e "$file.code" ]; then
                last=$(cat "$file.code")
            else
                last=129
            fi
        done
        if [ -z "$alive" ] && { [ -n "$seen" ] || [ "$SECONDS" -gt "$until" ]; }; then break; fi
        sleep 1
    done
    [ -n "$seen" ] || : >"$run_dir/joined/nobody"
    echo "$last"
} 2>/dev/null

how_shells_ended() {
    [ -z "$stopped$time_is_short" ] && [ "$code" -eq 129 ] || return
    failure=cancelled
    note="the connection to the shell was cut"
    if [ -e "$run_dir/joined/nobody" ]; then note="nobody came within two minutes"; fi
}

# Who sits at a terminal is told there that the time limit is near.
tell_shells() {
    local file terminal
    for file in "$run_dir/joined"/*[0-9]; do
        read -r terminal <"$file" || continue
        if [ -c "$terminal" ] && kill -0 "${file##*/}"; then
            printf '\r\nslipway: the time limit is near, this shell is about to be ended\r\n' >"$terminal"
        fi
    done
} 2>/dev/null
readonly -f use_shell wait_for_shells how_shells_ended tell_shells
