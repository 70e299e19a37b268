# ---- Going on after the time limit ----------------------------------------------------------------

# A job that ends by its time limit begins again as its next attempt, which has what this one wrote as /previous:
# the next link of a chain. A link that another one follows leaves a file `continues`.
count_links() {
    local file
    link=1
    for file in "$attempts"/attempt-*/continues; do
        [ ! -e "$file" ] || link=$((link + 1))
    done
}

decide() { # reason; whether another link is to follow, else the note says why not
    [ -z "$decided" ] && [ "$1" = time-limit ] || return
    decided=yes
    if [ -e "$run_dir/cancelled" ]; then
        note="it was cancelled"
    elif [ "$link" -gt "$continue_after_limit" ]; then
        note="the time limit ended all $link links"
    elif ! wrote_nothing; then
        echo new >"$here/continues"
    elif grep -qx nothing "$attempts/attempt-$((attempt - 1))/continues" 2>/dev/null; then
        note="two links in a row wrote nothing new to /out"
    else
        echo nothing >"$here/continues"
    fi
}

# True where all files in /out are the same in /previous. What would take long to compare counts as new.
# It runs in a shell of its own, so that $! stays what it is.
wrote_nothing() (
    local file until=$((SECONDS + 10))
    while IFS= read -r -d '' file; do
        timeout 10 cmp -s "$file" "$previous/${file#"$out_here"/}" || return 1
        [ "$SECONDS" -lt "$until" ] || return 1
    done < <(timeout 10 find "$out_here" -type f ! -name '.slipway-entry-*' -print0)
)

go_on() { # exit code, reason
    local try
    decide "$2"
    [ -z "$asked" ] && [ -e "$here/continues" ] || return
    asked=yes
    for try in 1 2 3; do
        [ "$try" -eq 1 ] || sleep 3
        note=$(begin_again)
        case $? in
        0) note='' && say "the time limit ended link $link; the next one follows" && return ;;
        1) break ;;
        esac
    done
    rm -f "$here/continues"
    note="no next link: $note"
    write_result "$1" "$2"
}

# What saves for longer than the scheduler waits is killed, and this script with it: it asks shortly before that.
set_alarm() {
    local script=$$
    (
        {
            trap '' TERM USR1
            sleep "$(seconds_to_ask)"
            [ -e "$here/result.json" ] || kill -ALRM "$script"
        } </dev/null >/dev/null 2>&1 &
    )
}

on_alarm() {
    again=yes
    if [ "$(why_stopped)" = time-limit ]; then go_on 143 time-limit; fi
}
readonly -f count_links decide wrote_nothing go_on set_alarm on_alarm
