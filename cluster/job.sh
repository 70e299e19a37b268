#!/bin/bash -l
# A job of Slipway: one program in one container. docs/jobs.md says what it promises. What it does, in order:
#
#  - It makes a folder for this attempt (attempt-1; after a requeue attempt-2), and writes its log there.
#  - It starts itself once more for each task that shares this job. What follows is done for each. # only: bundles
#  - It loads the site's modules and runs the site's own lines.
#  - It starts itself once more on each node of the job. What follows is done there. # only: multi_node
#  - It copies the image to the node's own disk, unless it is there. # only: node_local image_file
#  - The node's own engine has the image, or loads it. # only: engine
#  - It reads the program's arguments and environment from files; no shell takes them for text.
#  - It binds packed data, each file as a folder of /data. # only: packed
#  - It starts the program in the image. It sees /code, /data and /weights, and writes to /out.
#  - Nothing is run there but what joins the job, by cluster/join.sh. # only: shell
#  - Meanwhile it notes what the GPUs do in usage.csv. # only: usage
#  - What it writes to the node's own disk is brought to scratch meanwhile, and at the end. # only: node_output
#  - It passes on SIGTERM, and before the time limit SIGUSR1 if the program has a handler for that.
#  - It writes how the program ended to result.json, and ends with the program's exit code.
#
# @directives@

# What is to run, filled in by `invoke job`.
# @settings@

# Start files, and the site's lines, may put aliases and functions in the place of commands.
plain_commands() {
    unalias -a
    unset -f cat cd cmp cp cut date df disown echo find grep head kill lscpu mkdir mv nice openssl printf read rm rsync \
        sed seq sha256sum sleep sort stat tail taskset timeout touch tr wait
}
plain_commands 2>/dev/null

# @scheduler@

# ---- How the job ends -----------------------------------------------------------------------------

say() { echo "slipway: $node_name: $*"; }

plain() { printf %s "$1" | tr -c '[:alnum:] .,:;/()_+-' ' ' | head -c 400; } # only: notes

finish() { # exit code, reason
    trap '' EXIT TERM USR1
    stop_watching # only: bundles
    [ -z "$each_node" ] || finish_node "$1" "$2" # only: multi_node
    # The limit may come while this goes on. # only: chain
    # shellcheck disable=SC2064 # these are the ending's # only: chain
    trap "go_on $1 $2" TERM ALRM # only: chain
    decide "$2" # only: chain
    # What is lost is no success. # only: node_output
    if ! bring_at_end "$1" "$2" && [ "$1" -eq 0 ]; then set -- 1 program-error; fi # only: node_output
    write_result "$1" "$2"
    go_on "$1" "$2" # only: chain
    bring_cache_back # only: node_local cache
    exit "$1"
}

write_result() { # exit code, reason
    local signal=null
    local goes_on=false # only: chain
    if [ -e "$here/continues" ]; then goes_on=true; fi # only: chain
    if [ "$1" -gt 128 ] && [ "$1" -le 192 ]; then signal=$(($1 - 128)); fi
    # Written as a whole and then renamed: who finds it finds all of it.
    cat >"$here/result.json.part" <<RESULT && mv "$here/result.json.part" "$here/result.json"
{"run_id": "$run_id", "task": ${task_index:-null}, "attempt": $attempt,
 "exit_code": $1, "signal": $signal, "reason": "$2",
 "start": $started, "end": $(date +%s), "node": "$node_name", "job_id": "$job_id",
 "link": $link, "links": $((continue_after_limit + 1)), "continues": $goes_on, # only: chain
 "note": "$(plain "$note")", # only: notes
 "nodes": $job_nodes, "cpus": ${job_cpus:-1}, "gpus": "${CUDA_VISIBLE_DEVICES:-}"}
RESULT
}

why_it_ended() { # the program's exit code
    local why=''
    [ -z "$stopped" ] || why=$(why_stopped) # only: single_node
    [ -z "$stopped" ] || [ -n "$each_node" ] || why=$(why_stopped) # only: multi_node
    # What has asked for the next link looks as if somebody had requeued it. # only: chain
    [ -z "$asked" ] || why=time-limit # only: chain
    if [ "$why" = preempted ]; then
        echo preempted
    elif [ -n "$warned" ] || { [ -n "$time_is_short" ] && [ -n "$stopped" ]; }; then
        echo time-limit
    elif [ -n "$stopped" ]; then
        echo "${why:-cancelled}"
    elif [ "$1" -eq 0 ]; then
        echo ok
    elif out_of_memory; then
        echo out-of-memory
    elif [ -n "$time_is_short" ] && [ "$1" -eq 143 ]; then
        # At the limit SIGTERM may reach the program before it reaches this script.
        echo time-limit
    else
        echo "${failure:-program-error}"
    fi
}

# True where the kernel has killed a process of this job because of its memory limit, which is a cgroup's.
out_of_memory() { [ "$(memory_kills)" -gt "$kills_before" ]; } # only: own_process

memory_kills() { # how many it has killed
    local kinds path file count
    while IFS=: read -r _ kinds path; do
        case ,$kinds, in
        *,memory,*) file=/sys/fs/cgroup/memory$path/memory.oom_control ;;
        ,,) file=/sys/fs/cgroup$path/memory.events ;;
        *) continue ;;
        esac
        count=$(sed -n 's/^oom_kill \([0-9]*\)$/\1/p' "$file" 2>/dev/null)
        if [ "${count:-0}" -gt 0 ]; then break; fi
    done </proc/self/cgroup
    echo "${count:-0}"
}

# Whatever ends this script before its own end is no success, `exit 0` in the site's lines neither.
on_exit() { say "the job ended before its program began" && finish 1 launch-failure; }

# ---- Signals --------------------------------------------------------------------------------------

on_term() { # cancelled or preempted; where processes are tracked by cgroups, only this script is told
    # The job's script passes on what may have come already. # only: bundles
    if [ -n "$stopped" ]; then again=yes && return; fi # only: bundles
    [ -n "$stopped" ] || set_alarm # only: chain single_node
    [ -n "$stopped$each_node" ] || set_alarm # only: chain multi_node
    stopped=yes again=yes
    bring_now # only: node_output
    # The scheduler itself tells the part on each node. What was started here would kill them at once. # only: multi_node
    [ -n "$each_node" ] || return # only: multi_node
    tell_to_stop $!
}

tell_to_stop() { # the process id of what runs beside this script
    if [ -n "$program_runs" ]; then stop_container "$1"; else kill -TERM "$1"; fi
} 2>/dev/null

on_usr1() { # the time limit is near; the program may save and stop
    time_is_short=yes again=yes
    bring_now # only: node_output
    tell_shells # only: shell
    if [ -n "$program_runs" ]; then
        warn_program $!
    else
        kill -USR1 $! 2>/dev/null
    fi
}

# A program that has no handler for SIGUSR1 would be ended by it. That one is left alone and runs to the limit.
warn_program() { # the container's process id
    local pid
    pid=$(find_program "$(container_process "$1")") || return
    if catches_usr1 "$pid"; then
        warned=yes
        : >"$here/warned" # only: multi_node
        kill -USR1 "$pid"
    fi
} 2>/dev/null

catches_usr1() { # a process id
    local caught
    caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$1/status") && (((16#${caught:-0} >> $(kill -l USR1) - 1) & 1))
}

# The program is the first process, from the container's down, that has the environment which only the program gets.
find_program() { # a process id
    local child children
    # In a trap, a return without a number returns what was before the trap.
    if grep -Fqxz "SLIPWAY_RUN=$run_id" "/proc/$1/environ"; then
        echo "$1"
        return 0
    fi
    children=$(cat "/proc/$1/task/"*/children)
    for child in $children; do
        if find_program "$child"; then return 0; fi
    done
    return 1
}

# Runs a command beside the shell, which so can pass signals on, and returns its exit code.
await() {
    local code
    [ -z "$stopped" ] || return 143
    "$@" &
    # A signal may have come just before there was somebody to pass it on to.
    if [ -n "$stopped" ]; then tell_to_stop $!; fi
    # A signal interrupts `wait`, which then has to be asked once more. Bash's own remark on a killed program
    # stays out of the log.
    while
        again=''
        wait $!
        code=$?
        [ -n "$again" ]
    do :; done 2>/dev/null
    # Bash 5.2 says -1 of what ended in the very moment in which it was told to stop itself.
    if [ "$code" -lt 0 ] && [ -n "$stopped" ]; then code=143; fi
    return "$code"
}

# ---- The program ----------------------------------------------------------------------------------

# Its arguments and its own environment are data, each word ended by a zero byte.
read_words() {
    # In UTF-8 bash takes the zero byte for a part of the letter before it, where that is cut short.
    local LC_ALL=C word
    words=()
    while IFS= read -r -d '' word; do words+=("$word"); done
}

quote() { # what stands before it, and any bytes as one word of any POSIX shell
    local LC_ALL=C quote="'\\''"
    printf "%s'%s'" "$1" "${2//\'/$quote}"
}

export_line() { # name, value
    quote "export $1=" "$2"
    echo
}

# The container gets a clean environment and, of this one, only what follows. It gets there in a file that exists
# until the program starts: apptainer expands every $ in the values of --env and APPTAINERENV_, and changes arguments
# that are not UTF-8.
write_entry() {
    local LC_ALL=C name
    show_task # only: bundles
    for name in $(scheduler_variables) CUDA_VISIBLE_DEVICES OMP_NUM_THREADS \
        http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        if [ -n "${!name+set}" ]; then export_line "$name" "${!name}"; fi
    done
    if [ -n "$gpus_inside" ]; then export_line CUDA_VISIBLE_DEVICES "$gpus_inside"; fi # only: engine
    export_line XDG_CACHE_HOME /cache # only: cache
    for name in "${settings[@]}"; do export_line "${name%%=*}" "${name#*=}"; done
    export_line SLIPWAY_RUN "$run_id"
    export_line SLIPWAY_ATTEMPT "$attempt"
    export_line SLIPWAY_JOB_ID "$job_id"
    if [ -n "$task_index" ]; then export_line SLIPWAY_TASK "$task_index"; fi
    export_line SLIPWAY_OUT /out
    if [ -d "$previous" ]; then export_line SLIPWAY_PREVIOUS /previous; fi
    printf 'set --'
    for name in "${program[@]}"; do quote " " "$name"; done
    echo
}

# That the entry is gone shows that the program was reached.
# What reads the end of its standard input ends all that runs in the container. # only: engine no_shell
# shellcheck disable=SC2016 # it is the container's shell that fills these in
enter='. "/out/$0" || exit
command -v "$1" >/dev/null || { echo "$1: there is no such program in the image" >&2; exit 127; }
rm -f "/out/$0" || exit # only: engine no_shell
exec 3<&0 </dev/null # only: engine no_shell
(exec <&3; while read -r _; do :; done; kill -KILL -1) & # only: engine no_shell
exec 3<&- && exec "$@"' # only: engine no_shell
rm -f "/out/$0" && exec "$@"' # only: own_stdin

# What the last attempt that wrote anything has written; one that was ended before has nothing to go on from.
find_previous() {
    local number
    for ((number = attempt - 1; number > 0; number--)); do
        previous=$attempts/attempt-$number/out
        if [ -n "$(find "$previous" -mindepth 1 ! -name '.slipway-entry-*' -print -quit)" ]; then return 0; fi
    done 2>/dev/null
    find_earlier && return # only: tries
    previous=$attempts/attempt-$((attempt - 1))/out
}

start_container() {
    # Bash has what runs beside it ignore these, and so would the program.
    trap - INT QUIT
    exec 9>&- # only: node_local
    exec 5>&- 7>&- # only: node_output
    local mine=$BASHPID # only: shell
    exec < <(wait_for_shells "$mine") # only: shell
    become_container /bin/sh -c "$enter" "$entry"
}

run_program() {
    local code
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${job_cpus:-1}}
    prepare_container || return # only: engine
    add_mount "$out_here" /out
    bind_data # only: packed
    add_mount "$cache_here" /cache # only: cache
    if [ -d "$previous" ]; then add_mount "$previous" /previous ro; fi
    (umask 077 && write_entry >"$out_here/$entry") || exit 1
    guard_image # only: image_guard
    start_sampling # only: usage
    program_runs=yes
    await start_container
    code=$?
    stop_sampling # only: usage
    how_shells_ended # only: shell
    rm -rf "$shield" # only: image_guard
    if [ -e "$out_here/$entry" ]; then failure=launch-failure; fi
    rm -f "$out_here/$entry"
    return "$code"
}

# @runtime@

# @packed@

# @image_guard@

# @node_local@

# @node_output@

# @multi_node@

# @usage@

# @chain@

# @shell@

# @elements@

# @bundles@

# @lanes@

# @tries@

# ---- From here on it runs -------------------------------------------------------------------------

# A requeued job is a new attempt with a folder of its own: processes of the last one may still be alive on a
# lost node, and may still write. So is each task of an array.
if [ "${1:-}" != task ]; then run_bundle; fi # only: bundles
task_index=$2 time_up=$3 own_s=$4 time_watcher='' # only: bundles
attempts=$run_dir${task_index:+/task-$task_index}
here=$attempts/attempt-$attempt
previous=''
gpus_inside='' # only: engine
entry=.slipway-entry-$node_index
mkdir -p "$here/out" || exit 1
each_node=${1:-} # only: multi_node
[ -n "$each_node" ] || exec >>"$here/log" 2>&1 # only: multi_node
exec >>"$here/log" 2>&1 # only: single_node
started=$(date +%s)
kills_before=0 # only: alone
kills_before=$(memory_kills) # only: bundles
count_links # only: chain
time_is_short='' stopped='' again='' warned='' failure='' program_runs=''
image_here=$image # only: image_file
cache_here=$cache # only: cache
out_here=$here/out
note='' # only: notes
decided='' asked='' # only: chain
room='' bringer='' # only: node_output

trap on_exit EXIT
trap 'stopped=yes; finish 143 "$(why_stopped)"' TERM
trap 'time_is_short=yes' USR1
# The site's lines may not change these.
readonly run_id run_dir image attempts here entry enter started kills_before
readonly attempt job_id array_index task_index node_name node_index job_nodes job_cpus
readonly nodes each_node # only: multi_node
readonly cache # only: cache
readonly data packed # only: packed
readonly usage_sample_s # only: usage
readonly continue_after_limit link # only: chain
readonly shell_stays # only: shell
readonly time_up own_s grace_s # only: bundles
readonly -f plain_commands say finish write_result why_it_ended out_of_memory memory_kills on_exit on_term tell_to_stop \
    on_usr1 warn_program catches_usr1 find_program await read_words quote export_line write_entry find_previous \
    start_container run_program

# The site's modules, and its lines to run before the program.
# @modules@
# @before@
# ---------------------------------------------------------------------------------------------------

# The site's lines may have changed how the shell works.
plain_commands 2>/dev/null
set +efuC +o pipefail
shopt -u nullglob failglob
trap - ERR DEBUG
IFS=$' \t\n'
cd / || exit 1
trap on_exit EXIT
trap on_usr1 USR1
trap on_alarm ALRM # only: chain
trap on_term TERM

mkdir -p "$cache" || exit 1 # only: cache
# Else a link that was asked for in the moment in which the run was cancelled would undo that. # only: chain
if [ -e "$run_dir/cancelled" ]; then finish 143 cancelled; fi # only: chain
# @node_local_path@
use_node_local # only: node_local
use_node_output # only: node_output
find_previous
if [ -n "$time_is_short" ]; then
    say "the time limit is too near to begin"
    finish 1 time-limit
fi
read_words <"$run_dir/argv" && program=("${words[@]}") || exit 1 # only: same_words
read_element && program=("${words[@]}") || exit 1 # only: elements
read_words <"$run_dir/environment" && settings=("${words[@]}") || exit 1
use_shell # only: shell
if [ -z "$each_node" ]; then run_on_all_nodes; else run_program; fi # only: multi_node
watch_time # only: bundles
run_program # only: single_node
code=$?
finish "$code" "$(why_it_ended "$code")"
