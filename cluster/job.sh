#!/bin/bash -l
# A job of Slipway: one program in one container. docs/jobs.md says what it promises.
# @directives@

# What is to run, filled in by `invoke job`.
# @settings@

# A requeued job is a new attempt with a folder of its own: processes of the last one may still be alive on a
# lost node, and may still write. So is each task of an array.
attempt=$((${SLURM_RESTART_COUNT:-0} + 1))
attempts=$run_dir${SLURM_ARRAY_TASK_ID:+/task-$SLURM_ARRAY_TASK_ID}
here=$attempts/attempt-$attempt
# Where a job has several nodes, srun starts this script once more on each of them, with this word.
each_node=${1:-}
if [ -z "$each_node" ]; then
    mkdir -p "$here/out" || exit 1
    exec >>"$here/log" 2>&1
fi
started=$(date +%s)

say() { echo "slipway: ${SLURMD_NODENAME:-$(hostname)}: $*"; }

finish() { # exit code, reason
    local code=$1 signal=null
    trap '' EXIT TERM USR1
    if [ -n "$each_node" ]; then
        # The job ends as the first of its nodes that failed.
        [ "$code" -eq 0 ] || (set -o noclobber && echo "$code $2" >"$here/first-failure") 2>/dev/null
        bring_caches_back
        # For a failure srun kills the program on the other nodes, which may be saving.
        [ -z "$time_is_short$stopped" ] || exit 0
        exit "$code"
    fi
    if [ "$code" -gt 128 ] && [ "$code" -le 192 ]; then signal=$((code - 128)); fi
    # Written as a whole and then renamed: who finds it finds all of it.
    cat >"$here/result.json.part" <<RESULT && mv "$here/result.json.part" "$here/result.json"
{"run_id": "$run_id", "task": ${SLURM_ARRAY_TASK_ID:-null}, "attempt": $attempt,
 "exit_code": $code, "signal": $signal, "reason": "$2",
 "start": $started, "end": $(date +%s), "node": "${SLURMD_NODENAME:-$(hostname)}", "job_id": "$SLURM_JOB_ID",
 "nodes": ${SLURM_JOB_NUM_NODES:-1}, "cpus": ${SLURM_CPUS_PER_TASK:-1}, "gpus": "${CUDA_VISIBLE_DEVICES:-}"}
RESULT
    bring_caches_back
    exit "$code"
}

# What SLURM says of a job that it has sent SIGTERM.
why_stopped() {
    local id=$SLURM_JOB_ID job
    if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then id=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi
    job=$(timeout 5 scontrol --oneliner show job "$id" 2>/dev/null)
    if [[ $job == *" Reason=TimeLimit "* ]]; then
        echo time-limit
    elif [[ $job == *" PreemptTime="[0-9]* ]]; then
        echo preempted
    elif [[ $job =~ " Restarts="([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge "$attempt" ]; then
        # It will run again: it had to make room, or somebody has requeued it.
        echo preempted
    else
        echo cancelled
    fi
}

# True where the kernel has killed a process of this job because of its memory limit, which is a cgroup's.
out_of_memory() {
    local kinds path file
    while IFS=: read -r _ kinds path; do
        case ,$kinds, in
        *,memory,*) file=/sys/fs/cgroup/memory$path/memory.oom_control ;;
        ,,) file=/sys/fs/cgroup$path/memory.events ;;
        *) continue ;;
        esac
        if grep -Eq '^oom_kill [1-9]' "$file" 2>/dev/null; then return 0; fi
    done </proc/self/cgroup
    return 1
}

bring_caches_back() {
    if [ -n "$cache" ] && [ "$cache_here" != "$cache" ]; then
        rsync -a --update "$cache_here/" "$cache/" || say "what is new in $cache_here did not get to $cache"
    fi
}

# Whatever ends this script before its own end is no success, `exit 0` in the site's lines neither.
time_is_short='' stopped='' again='' failure='' cache_here=$cache
on_exit() { say "the job ended before its program began" && finish 1 launch-failure; }
trap on_exit EXIT
trap 'stopped=yes; finish 143 "$(why_stopped)"' TERM
trap 'time_is_short=yes' USR1
readonly run_id run_dir image nodes cache attempt attempts here each_node started
readonly -f finish why_stopped on_exit

# The site's modules, and its lines to run before the program.
# @modules@
# @before@
# ----------------------------------------------------------------------------------------------------

# The site's lines may have changed how the shell works.
set +efuC +o pipefail
shopt -u nullglob failglob
trap - ERR DEBUG
IFS=$' \t\n'
cd / || exit 1
trap on_exit EXIT

on_usr1() { # SLURM warns of the time limit; the program may save and stop
    time_is_short=yes again=yes
    kill -USR1 $! 2>/dev/null
}
on_term() { # cancelled or preempted; where SLURM tracks processes by cgroups, only this script is told
    stopped=yes again=yes
    # srun would kill the program at once. SLURM itself tells the parts of this script on all nodes.
    if [ -n "$each_node" ] || [ "$nodes" -eq 1 ]; then kill -TERM $! 2>/dev/null; fi
}
trap on_usr1 USR1
trap on_term TERM

# Runs a command beside the shell, which so can pass signals on, and returns its exit code.
await() {
    local code
    [ -z "$stopped" ] || return 143
    "$@" &
    # A signal may have come just before there was somebody to pass it on to.
    if [ -n "$stopped" ]; then kill -TERM $!; fi
    # A signal interrupts `wait`, which then has to be asked once more. Bash's own remark on a killed program
    # stays out of the log.
    while
        again=''
        wait $!
        code=$?
        [ -n "$again" ]
    do :; done 2>/dev/null
    return "$code"
}

# @node_local@
# Where this is a folder of a node's own disk, the image is copied there by whichever job of a node is the first.
# It has a digest in its name, and the copy gets this name only when it was read back and has it.
copy_image() { # the copy's path; file descriptor 9 is its lock
    local copy=$1 size digest began=$SECONDS
    flock -w 1800 9 || return
    size=$(stat -c %s "$image") || return
    if [ "$(stat -c %s "$copy" 2>/dev/null)" != "$size" ]; then
        make_room "$copy" "$size" || return
        digest=${image%.sif} digest=${digest##*-}
        case $(cp "$image" "$copy.part" && sha256sum <"$copy.part") in
        "$digest"*) mv "$copy.part" "$copy" || return ;;
        *) rm -f "$copy.part" && say "the copy of the image is damaged" && return 1 ;;
        esac
        say "image copied to $copy in $((SECONDS - began)) s"
    fi
    touch "$copy"
    # As long as a job uses the copy nobody makes room with it, but somebody may have been faster.
    flock -s 9 && [ -e "$copy" ]
}
make_room() { # the copy's path, its size in bytes
    local old folder=${1%/*}
    rm -f "$1.part"
    for old in "$folder"/*.sif ''; do
        if [ "$(df --output=avail -B1 "$folder" | tail -n 1)" -gt "$2" ]; then return 0; fi
        [ ! -e "$old" ] || (flock -n 8 && rm -f "$old" && say "$old removed to make room") 8>>"$old.lock"
    done
    say "$folder has no room for the image" && return 1
}

image_here=$image
use_node_local() {
    local folder
    folder=$node_local/slipway-$(id -un)
    # Where everybody may write, the folder may be somebody else's.
    [ -d "$node_local" ] && (umask 077 && mkdir -p "$folder") && [ -O "$folder" ] && [ ! -L "$folder" ] || return
    mkdir -p "$folder/images" "$folder/cache" || return
    exec 9>>"$folder/images/${image##*/}.lock" || return
    if await copy_image "$folder/images/${image##*/}"; then image_here=$folder/images/${image##*/}; fi
    if [ -n "$cache" ] && await rsync -a --update "$cache/" "$folder/cache/${cache##*/}/"; then
        cache_here=$folder/cache/${cache##*/}
    fi
    [ "$image_here" != "$image" ]
}
if [ -n "$cache" ]; then mkdir -p "$cache" || exit 1; fi
if [ "$node_local" != none ] && { [ -n "$each_node" ] || [ "$nodes" -eq 1 ]; } && ! use_node_local; then
    say "the image is used from scratch, not from paths.node_local: ${node_local:-which is empty here}"
fi

if [ -n "$time_is_short" ]; then
    say "the time limit is too near to begin"
    finish 1 time-limit
fi

# The program, its arguments and its own environment are data, each word ended by a zero byte.
read_words() {
    # In UTF-8 bash takes the zero byte for a part of the letter before it, where that is cut short.
    local LC_ALL=C word
    words=()
    while IFS= read -r -d '' word; do words+=("$word"); done
}
read_words <"$run_dir/argv" && program=("${words[@]}") || exit 1
read_words <"$run_dir/environment" && settings=("${words[@]}") || exit 1

# They reach the container in a file that is there until the program starts: apptainer expands every $ in the
# values of --env and APPTAINERENV_, and changes arguments that are not UTF-8.
entry=.slipway-entry-${SLURM_NODEID:-0}
quoted() { # what stands before it, and any bytes as one word of any POSIX shell
    local LC_ALL=C quote="'\\''"
    printf "%s'%s'" "$1" "${2//\'/$quote}"
}
pass() { # name, value
    quoted "export $1=" "$2"
    echo
}
previous=$attempts/attempt-$((attempt - 1))/out
# The container gets a clean environment and, of this one, only what follows.
write_entry() {
    local LC_ALL=C name
    for name in $(compgen -A export SLURM_) CUDA_VISIBLE_DEVICES OMP_NUM_THREADS \
        http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        if [ -n "${!name+set}" ]; then pass "$name" "${!name}"; fi
    done
    [ -z "$cache" ] || pass XDG_CACHE_HOME /cache
    for name in "${settings[@]}"; do pass "${name%%=*}" "${name#*=}"; done
    pass SLIPWAY_RUN "$run_id"
    pass SLIPWAY_ATTEMPT "$attempt"
    pass SLIPWAY_OUT /out
    if [ -d "$previous" ]; then pass SLIPWAY_PREVIOUS /previous; fi
    printf 'set --'
    for name in "${program[@]}"; do quoted " " "$name"; done
    echo
}

# Apptainer serves the image by a process of its own, which SIGTERM would end under the feet of a program that is
# saving: where SLURM does not track processes by cgroups, all of them get it. What is ignored stays ignored.
# An Apptainer that has its own such program, in libexec/apptainer/bin, takes that first: docs/jobs.md.
shield=$here/shield-${SLURM_NODEID:-0}
guard_image() {
    local name path
    mkdir -p "$shield" || return
    for name in squashfuse_ll squashfuse fuse-overlayfs fuse2fs; do
        path=$(command -v "$name") || continue
        printf '#!/bin/sh\ntrap "" TERM USR1\nexec %q "$@"\n' "$path" >"$shield/$name" && chmod 755 "$shield/$name"
        # Scratch may be mounted so that nothing in it can be started.
        [ -x "$shield/$name" ] || rm -f "$shield/$name"
    done
    PATH=$shield:$PATH
}

# That the entry is gone shows that the program was reached.
# shellcheck disable=SC2016 # it is the container's shell that fills these in
enter='. "/out/$0" || exit
command -v "$1" >/dev/null || { echo "$1: there is no such program in the image" >&2; exit 127; }
rm -f "/out/$0" && exec "$@"'
run_container() {
    # Bash has what runs beside it ignore these, and so would the program.
    trap - INT QUIT
    exec 9>&- && exec "${container[@]}" "$image_here" /bin/sh -c "$enter" "$entry"
}

if [ "$nodes" -gt 1 ] && [ -z "$each_node" ]; then
    await srun --nodes="$nodes" --ntasks-per-node=1 --export=ALL --kill-on-bad-exit=1 --input=none \
        ${SLURM_CPUS_PER_TASK:+"--cpus-per-task=$SLURM_CPUS_PER_TASK"} \
        bash -l "$run_dir/job.sh" each-node
    code=$?
    # srun has the highest of all codes, and that of a program that it killed because another failed is higher.
    if [ "$code" -ne 0 ] || [ -e "$here/first-failure" ]; then
        read -r code failure <"$here/first-failure" || failure=launch-failure
    fi 2>/dev/null
else
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
    container+=(--bind "$here/out:/out")
    if [ -n "$cache" ]; then container+=(--bind "$cache_here:/cache"); fi
    if [ -d "$previous" ]; then container+=(--bind "$previous:/previous:ro"); fi
    (umask 077 && write_entry >"$here/out/$entry") || exit 1
    guard_image
    await run_container
    code=$?
    rm -rf "$shield"
    if [ -e "$here/out/$entry" ]; then failure=launch-failure; fi
    rm -f "$here/out/$entry"
fi

reason=${failure:-program-error}
if [ -n "$time_is_short" ]; then
    reason=time-limit
elif [ -n "$stopped" ]; then
    reason=cancelled
    if [ -z "$each_node" ]; then reason=$(why_stopped); fi
elif [ "$code" -eq 0 ]; then
    reason=ok
elif out_of_memory; then
    reason=out-of-memory
fi
finish "$code" "$reason"
