# The cache is copied to the node before the program and back after it, newer files only.
fetch_cache() { # where to
    if await rsync -a --update "$cache/" "$1/"; then cache_here=$1; fi
}

bring_cache_back() {
    if [ "$cache_here" != "$cache" ]; then
        rsync -a --update "$cache_here/" "$cache/" || say "what is new in $cache_here did not get to $cache"
    fi
}
readonly -f fetch_cache bring_cache_back
