# ---- Several nodes --------------------------------------------------------------------------------

# This script runs on the first node, and is started once more on each of them, with the word each-node ($each_node).
run_on_all_nodes() {
    local code
    await on_each_node bash -l "$run_dir/job.sh" each-node
    code=$?
    # This is the highest of all codes, and that of a program that was killed because another failed is higher.
    if [ "$code" -ne 0 ] || [ -e "$here/first-failure" ]; then
        read -r code failure <"$here/first-failure" || failure=launch-failure
    fi 2>/dev/null
    if [ -e "$here/warned" ]; then warned=yes; fi
    rm -f "$here/warned"
    return "$code"
}

finish_node() { # exit code, reason
    # The job ends as the first of its nodes that failed.
    [ "$1" -eq 0 ] || (set -o noclobber && echo "$1 $2" >"$here/first-failure") 2>/dev/null
    bring_cache_back # only: node_local cache
    # For a failure the program is killed on the other nodes, where it may be saving.
    [ -z "$time_is_short$stopped" ] || exit 0
    exit "$1"
}
readonly -f run_on_all_nodes finish_node
