# Has this job begin again as a new attempt.
begin_again() {
    case $(why_stopped) in
    time-limit) ;;
    *) [ -z "$stopped" ] || { echo "it was cancelled" && return 1; } ;;
    esac
    : >"$SLIPWAY_REQUEUE" || return 1
}

# Some seconds before SIGKILL follows SIGTERM.
seconds_to_ask() { echo 22; }
readonly -f begin_again seconds_to_ask
