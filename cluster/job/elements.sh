# ---- Arguments of its own for each task ----------------------------------------------------------

# One file has the words of all tasks, and their files. A line of the other says for each where its words begin, their
# bytes, and how many they are; then the name of each of its files, where that begins, and its bytes.
read_element() {
    local offset bytes count files
    read -r offset bytes count files < <(sed -n "$((task_index + 1))p" "$run_dir/elements.index") || return
    read_words < <(read_part "$offset" "$bytes")
    # shellcheck disable=SC2086 # it is a list of words
    [ "${#words[@]}" -eq "$count" ] && write_element_files $files
}

read_part() { tail -c "+$(($1 + 1))" "$run_dir/elements" | head -c "$2"; }

write_element_files() { # name, where it begins, bytes; and so on
    local part
    [ $# -gt 0 ] || return 0
    mkdir -p "$here/element" || return
    while [ $# -gt 0 ]; do
        part=$here/element/.$1.$node_index
        read_part "$2" "$3" >"$part" && [ "$(stat -c %s "$part")" -eq "$3" ] && mv -f "$part" "$here/element/$1" || return
        shift 3
    done
    add_mount "$here/element" /element ro
}
readonly -f read_element read_part write_element_files
