# ---- What the GPUs do ----------------------------------------------------------------------------

# While the program runs, a line for each GPU of the job every so many seconds. docs/jobs.md has the columns.
sample_usage() { # where to
    local file=$1 now
    local ask=(nice timeout 20 nvidia-smi "--query-gpu=index,utilization.gpu,memory.used,power.draw"
        "--format=csv,noheader,nounits" ${CUDA_VISIBLE_DEVICES:+"--id=$CUDA_VISIBLE_DEVICES"})
    command -v nvidia-smi >/dev/null || return
    trap 'kill $!; exit' TERM
    # It ends with this script, whatever ended that.
    while kill -0 $$; do
        now=$(date +%s)
        "${ask[@]}" >"$file.part" &
        if wait $!; then
            [ -e "$file" ] || echo time,gpu,utilization_percent,memory_mb,power_w >"$file"
            # What a GPU does not tell it calls [N/A].
            sed -e 's/ //g; s/\[[^]]*\]//g' -e "s/^/$now,/" "$file.part" >>"$file"
        elif [ ! -e "$file" ]; then
            break
        fi
        sleep "$usage_sample_s" &
        wait $!
    done
    rm -f "$file.part"
}

start_sampling() {
    usage=$here/usage.csv # only: single_node
    usage=$here/usage-$node_index.csv # only: multi_node
    sample_usage "$usage" </dev/null >/dev/null 2>&1 &
    sampler=$!
    disown "$sampler"
}

stop_sampling() {
    kill "$sampler"
    rm -f "$usage.part"
} 2>/dev/null
readonly -f sample_usage start_sampling stop_sampling
