# Copies on the cluster from one of its file systems to another; slipway/keep/copy.py runs it there, with bash.
#
#   keep.sh TOKEN FROM TO PART SUMS MANIFEST NAME …
#
# FROM and TO have the same folders in them, and each NAME is a path in both. What is in TO with the same content is not
# copied again, and nothing in TO is removed. A copy is made in the folder PART, where a copy that was cut has left what it
# had; it is compared with the original by its hashes, and gets its name only then. SUMS is a list of hashes: those of the
# original where it begins with FROM, which is then compared with it, and else one that is written. MANIFEST, if there is
# one, is a text beside a dataset that says what is in it: it is gone before the dataset changes, and comes last. What is
# brought back gets the time of now, so that a purge does not take it again at once.
# Lines that begin with TOKEN are for Slipway, all others are what programs say.
set -o pipefail
LC_ALL=C
export LC_ALL
umask 077
token=$1 from=$2 to=$3 part=$4 sums=$5 manifest=$6
shift 6
lists=$part/.lists
# A file that is larger is copied in pieces, so that one that was cut goes on where it was.
preserve=mode,timestamps
case $sums in "$from"/*) preserve=mode ;; esac
large=67108864 piece=268435456
batch=200

say() { printf '%s %s\n' "$token" "$*"; }
fail() { say failed "$1" "$2" && exit 9; }

# The hashes of all files, or what links say, as lines; for each NAME that is in the folder $1.
hashes() (
    cd -- "$1" 2>/dev/null || exit 0
    shift
    for name; do
        [ ! -e "./$name" ] || find "./$name" -type f -print0
    done | xargs -0r sha256sum -- | sort
)
links() (
    cd -- "$1" 2>/dev/null || exit 0
    shift
    for name; do
        [ ! -e "./$name" ] || find "./$name" -type l -printf '%p\t%l\0'
    done | tr '\n\0' '?\n' | sort
)

# The names in a list of hashes, by folder, into the array `names`. sha256sum marks those that it has written with escapes.
read_names() {
    local line name
    names=()
    while IFS= read -r line; do
        case $line in
        \\*) name=$(printf '%b.' "${line#*  }") && name=${name%.} ;;
        *) name=${line#*  } ;;
        esac
        names+=("$name")
    done < <(sort -k 2 -- "$1")
}

# Calls $1 with a folder and files in it, for all of `names`.
by_folder() {
    local name folder='' files=()
    for name in "${names[@]}"; do
        if [ "${name%/*}" != "$folder" ] || [ "${#files[@]}" -ge "$batch" ]; then
            [ "${#files[@]}" = 0 ] || "$1" "$folder" "${files[@]}" || exit
            folder=${name%/*} files=()
        fi
        files+=("${name##*/}")
    done
    [ "${#files[@]}" = 0 ] || "$1" "$folder" "${files[@]}" || exit
}

copy() {
    local folder=$1 small=() file size
    shift
    mkdir -p -- "$part/$folder" || exit
    while read -r size; do
        if [ "$size" -gt "$large" ]; then grow "$folder/$1" "$size"; else small+=("$1"); fi
        copied=$((copied + size))
        shift
    done < <(cd -- "$from/$folder" && stat -c %s -- "$@")
    [ "${#small[@]}" = 0 ] ||
        (cd -- "$from/$folder" && cp --preserve=$preserve --remove-destination -t "$part/$folder" -- "${small[@]}") ||
        exit
    say amount "$copied" "$total"
}

grow() {
    local source=$from/$1 copy=$part/$1 size=$2 at
    at=$(stat -c %s -- "$copy" 2>/dev/null) || at=0
    [ "$at" -lt "$size" ] || { rm -f -- "$copy" && at=0; } || exit
    while [ "$at" -lt "$size" ]; do
        tail -c "+$((at + 1))" -- "$source" 2>/dev/null | head -c "$piece" >>"$copy"
        [ "${PIPESTATUS[1]}" = 0 ] || exit
        [ "$(stat -c %s -- "$copy")" -gt "$at" ] || fail changed "$1"
        at=$(stat -c %s -- "$copy") || exit
        say amount "$((copied + at))" "$total"
    done
    chmod --reference="$source" -- "$copy" || exit
    [ "$preserve" = mode ] || touch -r "$source" -- "$copy" || exit
}

place() {
    local folder=$1
    shift
    (cd -- "$part/$folder" && mv -f -t "$to/$folder" -- "$@")
}

for name; do
    [ -e "$from/$name" ] || fail gone "$from/$name"
done
mkdir -p -- "$to" "$lists" || exit

say step "Hashing what is to be copied"
hashes "$from" "$@" >"$lists/from" || exit
case $sums in "$from"/*)
    [ -e "$sums" ] || fail incomplete "$from/$1"
    comm -13 "$lists/from" "$sums" >"$lists/damaged"
    read_names "$lists/damaged"
    [ "${#names[@]}" = 0 ] || fail damaged "${names[*]:0:3}"
    ;;
esac
hashes "$to" "$@" >"$lists/to" || exit
comm -23 "$lists/from" "$lists/to" >"$lists/need"
hashes "$part" "$@" >"$lists/part" || exit
comm -23 "$lists/need" "$lists/part" >"$lists/todo"
read_names "$lists/todo"

copied=0 total=0 there=0
while read -r size; do
    total=$((total + size))
done < <(cd -- "$from" && [ "${#names[@]}" = 0 ] || printf '%s\0' "${names[@]}" | xargs -0 stat -c %s --)
there=$(cd -- "$part" && find . -type f -size +64M -printf '%s\n' | awk '{ sum += $1 } END { printf "%.0f", sum }')
free=$(df -Pk -- "$part" | awk 'END { printf "%.0f", $4 * 1024 }')
[ "$free" -ge $((total - there)) ] || fail room "$free $total"

say step "Copying ${#names[@]} of $(wc -l <"$lists/from") files"
by_folder copy
say step "Checking the copy"
hashes "$part" "$@" >"$lists/part" || exit
comm -23 "$lists/need" "$lists/part" >"$lists/wrong"
read_names "$lists/wrong"
if [ "${#names[@]}" != 0 ]; then
    (cd -- "$part" && printf '%s\0' "${names[@]}" | xargs -0 rm -f --)
    fail changed "${names[*]:0:3}"
fi

# Nothing is written through a link in the place of a folder.
for name; do
    [ ! -d "$from/$name" ] || (cd -- "$from" && find "./$name" -type d -print0)
done >"$lists/folders" || exit
while IFS= read -r -d '' folder; do
    [ ! -L "$to/$folder" ] || fail link "$to/$folder"
done <"$lists/folders"
read_names "$lists/need"
[ -z "$manifest" ] || [ "${#names[@]}" = 0 ] || rm -f -- "$to/$manifest" || exit
for name; do mkdir -p -- "$to/$(dirname -- "$name")" || exit; done
(cd -- "$to" && xargs -0r mkdir -p --) <"$lists/folders" || exit
by_folder place
links "$from" "$@" >"$lists/links" && links "$to" "$@" | cmp -s - "$lists/links" ||
    for name; do
        (cd -- "$from" && find "./$name" -type l -print0)
    done | while IFS= read -r -d '' name; do
        (cd -- "$from" && cp -dT --remove-destination -- "$name" "$to/$name") || exit
    done || exit
if [ -n "$manifest" ] && [ -e "$from/$manifest" ]; then
    cp -- "$from/$manifest" "$part/.manifest" && cmp -- "$from/$manifest" "$part/.manifest" &&
        mv -fT -- "$part/.manifest" "$to/$manifest" || exit
fi
case $sums in "$to"/*)
    mkdir -p -- "$(dirname -- "$sums")" && touch -- "$sums" || exit
    # What is kept of files that are not in FROM any more stays kept.
    awk '{ name = substr($0, index($0, "  ")) } !(name in seen) { print } { seen[name] = 1 }' "$lists/from" "$sums" |
        sort >"$sums.part" && mv -fT -- "$sums.part" "$sums" || exit
    ;;
esac
bytes=$(cd -- "$from" && find "$@" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%.0f", sum }')
say end "${#names[@]} $total $(wc -l <"$lists/from") $bytes"
rm -rf -- "$part"
