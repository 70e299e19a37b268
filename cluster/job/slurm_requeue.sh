# Has this job begin again as a new attempt. What was cancelled would begin again as well, so it has to run still, or
# to be ended by nothing but its limit. Else it says why not; it returns 2 where that may pass.
begin_again() {
    local id job
    id=$(own_id)
    job=$(timeout 10 scontrol --oneliner show job "$id" 2>&1)
    case $job in
    *" Reason=TimeLimit "* | *" JobState=RUNNING "*) ;;
    *" JobState="*) echo "it was cancelled" && return 1 ;;
    *) echo "SLURM could not be asked: $job" && return 2 ;;
    esac
    timeout 10 scontrol requeue "$id" 2>&1 || return 1
}

# Some seconds before SIGKILL follows SIGTERM.
seconds_to_ask() {
    local wait_s
    wait_s=$(timeout 5 scontrol show config 2>/dev/null | sed -n 's/^KillWait *= *\([0-9]*\) sec.*/\1/p')
    wait_s=$((${wait_s:-30} - 8))
    echo $((wait_s > 0 ? wait_s : 0))
}
readonly -f begin_again seconds_to_ask
