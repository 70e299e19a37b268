#!/bin/bash -l
# A job of Slipway: one program in one container. docs/design.md says what it promises.
# @directives@

# What is to run, filled in by `invoke job`.
# @settings@

# A requeued job is a new attempt with a folder of its own: processes of the last one may still be alive on a
# lost node, and may still write.
attempt=$((${SLURM_RESTART_COUNT:-0} + 1))
here=$run_dir/attempt-$attempt
mkdir -p "$here/out" || exit 1
exec >>"$here/log" 2>&1
started=$(date +%s)

# Written as a whole and then renamed: who finds it finds all of it.
finish() { # exit code, reason
    local code=$1 signal=null
    if [ "$code" -gt 128 ] && [ "$code" -le 192 ]; then signal=$((code - 128)); fi
    cat >"$here/result.json.part" <<RESULT && mv "$here/result.json.part" "$here/result.json"
{"run_id": "$run_id", "attempt": $attempt, "exit_code": $code, "signal": $signal, "reason": "$2",
 "start": $started, "end": $(date +%s), "node": "${SLURMD_NODENAME:-$(hostname)}", "job_id": "$SLURM_JOB_ID",
 "cpus": ${SLURM_CPUS_PER_TASK:-1}, "gpus": "${CUDA_VISIBLE_DEVICES:-}"}
RESULT
    exit "$code"
}

# The site's modules, and its lines to run before the program.
# @modules@
# @before@
# ----------------------------------------------------------------------------------------------------

# The program, its arguments and its own environment are data, each word ended by a zero byte.
program=()
while IFS= read -r -d '' word; do program+=("$word"); done <"$run_dir/argv"
settings=()
while IFS= read -r -d '' word; do settings+=("$word"); done <"$run_dir/environment"

# They reach the container in a file that is there until the program starts: apptainer expands every $ in the
# values of --env and APPTAINERENV_, and changes arguments that are not UTF-8.
entry=$here/out/.slipway-entry
(umask 077 && : >"$entry") || exit 1
quoted() { # what stands before it, and any bytes as one word of any POSIX shell
    local LC_ALL=C quote="'\\''"
    printf "%s'%s'" "$1" "${2//\'/$quote}" >>"$entry"
}
pass() { # name, value
    quoted "export $1=" "$2"
    echo >>"$entry"
}

# The container gets a clean environment and, of this one, only what follows.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
for name in $(compgen -A export SLURM_) CUDA_VISIBLE_DEVICES OMP_NUM_THREADS \
    http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    if [ -n "${!name+set}" ]; then pass "$name" "${!name}"; fi
done
for setting in ${settings[@]+"${settings[@]}"}; do pass "${setting%%=*}" "${setting#*=}"; done
pass SLIPWAY_RUN "$run_id"
pass SLIPWAY_ATTEMPT "$attempt"
pass SLIPWAY_OUT /out
container+=(--bind "$here/out:/out")
if [ -d "$run_dir/attempt-$((attempt - 1))/out" ]; then
    container+=(--bind "$run_dir/attempt-$((attempt - 1))/out:/previous:ro")
    pass SLIPWAY_PREVIOUS /previous
fi
printf 'set --' >>"$entry"
for word in "${program[@]}"; do quoted " " "$word"; done
echo >>"$entry"

time_is_short=
stopped=
again=yes
on_usr1() { # SLURM warns of the time limit; the program may save and stop
    time_is_short=yes again=yes
    kill -USR1 "$child" 2>/dev/null
}
on_term() { # cancelled or preempted; where SLURM tracks processes by cgroups, only this script is told
    stopped=yes again=yes
    kill -TERM "$child" 2>/dev/null
}
trap on_usr1 USR1
trap on_term TERM

# That the file is gone shows that the program was reached.
# shellcheck disable=SC2016 # it is the container's shell that fills these in
enter='. /out/.slipway-entry && rm -f /out/.slipway-entry && exec "$@"'
cd / || exit 1
"${container[@]}" "$image" /bin/sh -c "$enter" &
child=$!
# A signal interrupts `wait`, which then has to be asked once more. Bash's own remark on a killed program stays
# out of the log.
while [ -n "$again" ]; do
    again=
    wait "$child"
    code=$?
done 2>/dev/null

reason=program-error
if [ -n "$time_is_short" ]; then
    reason=time-limit
elif [ -n "$stopped" ]; then
    reason=cancelled
elif [ -e "$entry" ]; then
    reason=launch-failure
elif [ "$code" -eq 0 ]; then
    reason=ok
fi
rm -f "$entry"
finish "$code" "$reason"
