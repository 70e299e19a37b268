# ---- Another try of an earlier run ----------------------------------------------------------------

# Before this run has written anything, what the last of the earlier ones has written is there as /previous.
find_earlier() {
    local folder number
    for folder in "${tries[@]}"; do
        folder=$folder${task_index:+/task-$task_index}
        for number in $(find "$folder" -maxdepth 1 -name 'attempt-*' | sed 's/.*-//' | sort -rn); do
            previous=$folder/attempt-$number/out
            if [ -n "$(find "$previous" -mindepth 1 ! -name '.slipway-entry-*' -print -quit)" ]; then return 0; fi
        done
    done 2>/dev/null
    return 1
}
readonly -f find_earlier
