# It has a digest in its name, and the copy gets this name only when it was read back and has it.
copy_image() { # the copy's path; file descriptor 9 is its lock
    local copy=$1 size digest began=$SECONDS
    flock -w 1800 9 || return
    size=$(stat -c %s "$image") || return
    if [ "$(stat -c %s "$copy" 2>/dev/null)" != "$size" ]; then
        make_room "$copy" "$size" || return
        digest=${image%.*} digest=${digest##*-}
        case $(cp "$image" "$copy.part" && hash_input <"$copy.part") in
        "$digest"*) mv "$copy.part" "$copy" || return ;;
        *) rm -f "$copy.part" && say "the copy of the image is damaged" && return 1 ;;
        esac
        say "image copied to $copy in $((SECONDS - began)) s"
    fi
    touch "$copy"
    # As long as a job uses the copy nobody makes room with it, but somebody may have been faster.
    flock -s 9 && [ -e "$copy" ]
}

# OpenSSL, where it hashes, needs a sixth of the time of a sha256sum that does not use the processor's instructions.
hash_input() {
    case $(printf '' | openssl dgst -sha256 -r 2>/dev/null) in
    e3b0c44298fc1c149afbf4c8996fb924*) openssl dgst -sha256 -r ;;
    *) sha256sum ;;
    esac
}

make_room() { # the copy's path, its size in bytes
    local old room folder=${1%/*}
    rm -f "$1.part"
    for old in "$folder"/*."${image##*.}" ''; do
        # A wrapper of df may print other lines, too.
        room=$(df --output=avail -B1 "$folder" | grep -Ex ' *[0-9]+' | tail -n 1)
        if [ "${room:-0}" -gt "$2" ]; then return 0; fi
        [ ! -e "$old" ] || (flock -n 8 && rm -f "$old" && say "$old removed to make room") 8>>"$old.lock"
    done
    say "$folder has no room for the image" && return 1
}
readonly -f copy_image hash_input make_room
