#!/bin/bash
# Joins a running job of Slipway: runs a command in its container, on its node, and sees what its program sees.
# `invoke shell --run RUN` starts it as a step of the job. What it does, in order:
#
#  - It looks for the job's program among the processes of the node, and waits until that has begun.
#  - It enters the container of that process: the same files, the same processes, the same environment.
#  - Where the container has no user namespace (Apptainer with its setuid program), only root could do that: it starts a
#    second container of the same image with the same mounts.
#  - Where Docker or Podman runs the container, that is asked to start the command in it.
#  - It runs the command, or a shell, and ends with its exit code.
#
# Its arguments: the run's id, its folder, what is printed on both outputs before the command begins (or nothing), what
# prepares the node for a second container, and the words of that up to its output folder, a line each (empty: both as
# the job's own script has them), then the command. All users of the node may see these; the environment they may not.
export -n LC_ALL
LC_ALL=C
run_id=$1 run_dir=$2 mark=$3 before=$4 second=$5
shift 5
patience_s=1800

say() { printf 'slipway: %s\n' "$*" >&2; }

# The program is the oldest process with the environment that only the program gets; other jobs and what has joined this
# one before are left out.
find_program() {
    local file pid stat oldest=''
    local -a fields
    program=''
    # shellcheck disable=SC2013 # none of these names has a space
    for file in $(grep -lFxz "SLIPWAY_RUN=$run_id" /proc/[0-9]*/environ); do
        pid=${file#/proc/} pid=${pid%/environ}
        # Which scheduler has started it, and this.
        if [ -n "$SLURM_JOB_ID" ]; then
            grep -Fqxz "SLURM_JOB_ID=$SLURM_JOB_ID" "$file" || continue
        else
            grep -Fqxz "SLIPWAY_JOB_ID=$SLIPWAY_JOB_ID" "$file" || continue
            [ -z "$SLIPWAY_TASK" ] || grep -Fqxz "SLIPWAY_TASK=$SLIPWAY_TASK" "$file" || continue
        fi
        if grep -Fqxz "SLIPWAY_JOINED=$run_id" "$file"; then continue; fi
        read -r stat <"/proc/$pid/stat" || continue
        read -r -a fields <<<"${stat##*) }"
        # When it was started, in ticks since the machine was.
        if [ -z "$oldest" ] || [ "${fields[19]}" -lt "$oldest" ]; then program=$pid oldest=${fields[19]}; fi
    done
    [ -n "$program" ]
} 2>/dev/null

wait_for_program() {
    local until=$((SECONDS + patience_s)) told=''
    until find_program; do
        if [ "$SECONDS" -gt "$until" ]; then say "$run_id has no program on $(hostname)"; exit 1; fi
        if [ -z "$told" ] && [ "$SECONDS" -ge 2 ]; then told=yes; say "waiting for the container to start"; fi
        sleep 0.3
    done
}

# The environment that the program was started with. A name that no shell takes is left out.
read_environment() {
    local word
    environment=() image='' attempts=$run_dir attempt='' by_engine=''
    while IFS= read -r -d '' word; do
        case ${word%%=*} in
        '' | [0-9]* | *[!A-Za-z0-9_]* | TERM | COLORTERM | SLIPWAY_JOINED) continue ;;
        SLIPWAY_TASK) attempts=$run_dir/task-${word#*=} ;;
        SLIPWAY_ATTEMPT) attempt=${word#*=} ;;
        APPTAINER_CONTAINER | SINGULARITY_CONTAINER) image=${word#*=} ;;
        SLIPWAY_CONTAINER) by_engine=${word#*=} ;;
        esac
        environment+=("$word")
    done <"/proc/$program/environ"
    environment+=("SLIPWAY_JOINED=$run_id" "TERM=${TERM:-dumb}" ${COLORTERM:+"COLORTERM=$COLORTERM"})
}

# The namespaces of the program that are not those of this process, as options of nsenter.
find_namespaces() {
    local kind option
    namespaces=()
    for kind in user mnt pid ipc net uts cgroup; do
        option=--$kind
        if [ "$kind" = mnt ]; then option=--mount; fi
        [ "$(readlink "/proc/$program/ns/$kind")" = "$(readlink "/proc/$$/ns/$kind")" ] || namespaces+=("$option")
    done
}

# The environment as text for the container's shell, which reads it from a file, often file descriptor 9.
write_environment() {
    local word value quote="'\\''"
    for word in "${environment[@]}"; do
        value=${word#*=}
        printf "export %s='%s'\n" "${word%%=*}" "${value//\'/$quote}"
    done
}

# Runs in the container, whose /bin/sh it is.
# shellcheck disable=SC2016 # the container's shell fills these in
inside='mark=$1 environment=$2; shift 2
. "$environment" || exit
exec 9<&-
case $environment in /out/*) rm -f "$environment" ;; esac
cd /code || exit
if [ $# -eq 0 ]; then
    set -- sh
    if command -v bash >/dev/null; then set -- bash; fi
    { echo shell >&7; } 2>/dev/null
fi
exec 7>&-
if [ -n "$mark" ]; then printf %s "$mark"; printf %s "$mark" >&2; fi
command -v "$1" >/dev/null || { echo "$1: there is no such program in the image" >&2; exit 127; }
exec "$@"'

enter() {
    local nsenter
    if [ -n "$by_engine" ]; then
        enter_by_engine "$@"
        return
    fi
    if [[ " ${namespaces[*]} " != *" --user "* ]]; then
        start_second "$@"
        return
    fi
    nsenter=$(command -v nsenter) || { say "nsenter (util-linux) is not on $(hostname)"; return 1; }
    env -i "$nsenter" --target "$program" "${namespaces[@]}" --root --preserve-credentials \
        /bin/sh -c "$inside" slipway "$mark" /proc/self/fd/9 "$@" 9< <(write_environment)
}

# An engine hands on no files but the standard ones, so the environment lies in the output folder until it is read.
# shellcheck disable=SC2016 # the container's shell fills these in
enter_by_engine() {
    local engine=${by_engine%%:*} name=${by_engine#*:} file=/out/.slipway-entry-join-$$
    local -a terminal
    [ ! -t 0 ] || terminal=(--tty)
    if [ $# -eq 0 ]; then echo shell >&7; fi
    write_environment | "$engine" exec --interactive "$name" /bin/sh -c 'umask 077 && cat >"$0"' "$file" || return
    "$engine" exec --interactive "${terminal[@]}" "$name" /bin/sh -c "$inside" slipway "$mark" "$file" "$@"
}

# What the job's own script has filled in.
read_job() {
    local cache='' script=$run_dir/job.sh
    eval "$(grep -m 1 '^container=(' "$script")"
    eval "$(grep -m 1 '^cache=' "$script")"
    if [ -n "$cache" ]; then container+=(--bind "$cache:/cache"); fi
    before="finish() { exit 1; }
$(sed -n "/^# The site's modules, and/,/^# ---/p" "$script")"
}

# shellcheck disable=SC2016 # a login shell fills these in
start_second() {
    local word
    local -a container
    local start='eval "$(cat <&8)"; exec 8<&-; exec "$@"'
    if [ -z "$second" ]; then
        read_job
    else
        while IFS= read -r word; do container+=("$word"); done <<<"$second"
    fi
    bash -lc "$start" slipway "${container[@]}" --bind "$attempts/attempt-$attempt/out:/out" "$image" \
        /bin/sh -c "$inside" slipway "$mark" /proc/self/fd/9 "$@" 8< <(printf '%s\n' "$before") 9< <(write_environment)
}

wait_for_program
read_environment
find_namespaces
# A job that is there for this alone ends when nobody is joined any more.
joined=$run_dir/joined/$$ begun=/dev/null
if [ -d "${joined%/*}" ]; then
    tty >"$joined" 2>/dev/null
    begun=$joined.begun
fi
# Ctrl-C is the command's; what has a handler here is not ignored there.
trap : INT QUIT
enter "$@" 7>"$begun"
code=$?
ended=$code
# Who leaves a shell has done what they wanted there, whatever its last command has come to. One that was hung up on (129)
# or killed (137) nobody has left.
if [ -s "$begun" ] && [ "$code" -ne 129 ] && [ "$code" -ne 137 ]; then ended=0; fi
if [ -e "$joined" ]; then echo "$ended" >"$joined.code"; fi
exit "$code"
