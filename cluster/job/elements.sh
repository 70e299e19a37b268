# ---- Arguments of its own for each task ----------------------------------------------------------

# One file has the words of all tasks. A line of the other says for each where they begin, their bytes, and how many
# they are.
read_element() {
    local offset bytes count
    read -r offset bytes count < <(sed -n "$((task_index + 1))p" "$run_dir/elements.index") || return
    read_words < <(tail -c "+$((offset + 1))" "$run_dir/elements" | head -c "$bytes")
    [ "${#words[@]}" -eq "$count" ]
}
readonly -f read_element
