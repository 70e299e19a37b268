# ---- Several tasks in one job ---------------------------------------------------------------------

# A line of `bundles` for each job of the array has its lanes, which run side by side: TASK:SECONDS,TASK:SECONDS of what
# runs one after the other, with 0 where a time is not known. This script starts itself once more for each task, so
# that each has its own log, output and result, however others end.
run_bundle() {
    local lanes=() lane pid code worst=0
    stopped='' time_is_short='' again='' lane_pids=() began=$(date +%s)
    trap 'stopped=yes again=yes; tell_lanes TERM' TERM
    trap 'time_is_short=yes again=yes; tell_lanes USR1' USR1
    trap - ERR DEBUG
    set +efuC +o pipefail
    shopt -u nullglob failglob
    IFS=$' \t\n'
    read -r -a lanes < <(sed -n "$((array_index + 1))p" "$run_dir/bundles")
    if [ "${#lanes[@]}" -eq 0 ]; then
        say "$run_dir/bundles does not say what job $array_index of the array is to run"
        exit 1
    fi
    for lane in "${!lanes[@]}"; do
        run_lane "$lane" "${lanes[lane]}" &
        lane_pids+=($!)
        # A signal may have come just before there was somebody to pass it on to.
        if [ -n "$stopped" ]; then kill -TERM $!; fi
    done
    for pid in "${lane_pids[@]}"; do
        while
            again=''
            wait "$pid"
            code=$?
            [ -n "$again" ]
        do :; done 2>/dev/null
        if [ "$worst" -eq 0 ]; then worst=$code; fi
    done
    exit "$worst"
}

tell_lanes() { # a signal
    [ "${#lane_pids[@]}" -eq 0 ] || kill "-$1" "${lane_pids[@]}" 2>/dev/null
}

run_lane() { # its number, its tasks
    local one task before='' until left_s=0 code worst=0 tasks=()
    trap - INT QUIT
    trap 'stopped=yes again=yes; kill -TERM $! 2>/dev/null' TERM
    trap 'time_is_short=yes again=yes; warn_task $!' USR1
    take_share "$1" # only: lanes
    for one in ${2//,/ }; do
        if has_ended "${one%:*}"; then continue; fi
        tasks+=("$one")
        left_s=$((left_s + ${one#*:}))
    done
    for one in "${tasks[@]}"; do
        task=${one%:*} left_s=$((left_s - ${one#*:})) until=0 code=143
        # Those after it are to have their time; what others have left over is its own.
        if [ "$left_s" -gt 0 ]; then until=$((began + job_s - left_s)); fi
        if [ -z "$stopped$time_is_short" ]; then
            await start_task "$task" "$until" "${one#*:}"
            code=$?
        fi
        if [ -n "$stopped$time_is_short" ] && [ ! -e "$run_dir/task-$task/attempt-$attempt" ]; then
            leave_out "$task" "$(why_left_out "$before")"
        fi
        before=$task
        if [ "$worst" -eq 0 ]; then worst=$code; fi
    done
    return "$worst"
}

start_task() { # the task, when its time is up, its time
    # What runs beside bash ignores these, and so would the program.
    trap - INT QUIT
    exec bash -l "$run_dir/job.sh" task "$@"
}

# True of a task that came to an end of its own before the job was requeued; it is not run again.
has_ended() { # a task
    grep -Eqs '"reason": "(ok|program-error|out-of-memory|time-limit|launch-failure|node-failure)"' \
        "$run_dir/task-$1"/attempt-*/result.json
}

why_left_out() { # the task before it
    local why
    if [ -z "$stopped" ]; then
        echo time-limit
        return
    fi
    # Its script has asked the scheduler, with all that the site's lines have prepared.
    why=$(sed -n 's/.*"reason": "\([a-z-]*\)".*/\1/p' "$run_dir/task-$1/attempt-$attempt/result.json" 2>/dev/null)
    case $why in
    time-limit | cancelled | preempted) echo "$why" ;;
    *) why_stopped ;;
    esac
}

# What was preempted begins in the next attempt.
leave_out() { # a task, why it has not begun
    local task_index=$1 here=$run_dir/task-$1/attempt-$attempt started note code=1
    case $2 in
    preempted) return ;;
    time-limit) note="it had not begun when the time limit of its job came" ;;
    *) note="it had not begun when its job was ended" code=143 ;;
    esac
    started=$(date +%s)
    mkdir -p "$here/out" && say "$note" >>"$here/log" && write_result "$code" "$2"
}

# The signal would end a script that has set no traps yet.
warn_task() { # the process id of its script
    (
        {
            trap '' USR1
            while kill -0 "$1"; do
                if catches_usr1 "$1"; then
                    kill -USR1 "$1"
                    break
                fi
                sleep 0.2
            done
        } </dev/null >/dev/null 2>&1 &
    )
}

# The time of a task is up before that of the job where others come after it: it is warned, told to stop some seconds
# before, and killed where it has not.
watch_time() {
    local script=$$ warn_s=$grace_s stop_s=$((own_s < 120 ? own_s / 4 : 30))
    [ "$time_up" -gt 0 ] || return
    if [ "$warn_s" -gt $((own_s / 2)) ]; then warn_s=$((own_s / 2)); fi
    if [ "$warn_s" -lt "$stop_s" ]; then warn_s=$stop_s; fi
    {
        trap 'kill $!; exit' TERM
        trap '' USR1
        pause $((time_up - warn_s - $(date +%s)))
        kill -USR1 "$script"
        pause $((time_up - stop_s - $(date +%s)))
        kill -TERM "$script"
        pause $((time_up - $(date +%s)))
        kill_below "$script"
    } </dev/null >/dev/null 2>&1 &
    time_watcher=$!
    disown "$time_watcher"
}

pause() { # seconds
    [ "$1" -gt 0 ] || return
    sleep "$1" &
    wait $!
}

kill_below() { # a process id; what it has started, but for what runs this
    local child children
    children=$(cat "/proc/$1/task/"*/children)
    for child in $children; do
        if [ "$child" != "$BASHPID" ]; then
            kill_below "$child"
            kill -KILL "$child"
        fi
    done
}

stop_watching() {
    [ -z "$time_watcher" ] || kill "$time_watcher"
} 2>/dev/null
readonly -f run_bundle tell_lanes run_lane start_task has_ended why_left_out leave_out warn_task watch_time pause kill_below stop_watching
