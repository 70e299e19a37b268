# Fetches one sequence of a dataset to a cluster's scratch; slipway/dataset/fetch_there.py runs it on a login node, with bash.
#
#   fetch.sh TOKEN DATA NAME SEQUENCE FOLDER CALIBRATION [URL FILE SHA256 MD5] …
#
# The last four name an archive: its address, its file's name, and hashes, which may be empty. Archives are fetched by curl,
# else by wget or python3, to the folder .NAME.fetch in DATA, where a cut has left what had arrived; they are checked, and unpacked into
# one folder. That becomes the folder FOLDER of the dataset NAME, as a whole. Where that is there already, only files that it
# lacks are put into it. CALIBRATION is the text of a calib.txt.
# Lines that begin with TOKEN are for Slipway, all others are what programs say.
LC_ALL=C
export LC_ALL
token=$1 data=$2 name=$3 sequence=$4 folder=$5 calibration=$6
shift 6
target=$data/$name/$folder parts=$data/.$name.fetch
unpacked=$parts/$sequence
# A line that is lost is seen by what cannot be printed any more.
trap '' PIPE

say() { printf '%s %s\n' "$token" "$*" 2>/dev/null; }
# Leaves what has arrived, and nothing else.
tidy() {
    rm -rf -- "$unpacked" "$parts/$sequence.lock" "$parts/$sequence".*.type
    find "$parts" -maxdepth 1 -name "$sequence.*.part" -empty -delete
    rmdir -- "$parts" 2>/dev/null
}
fail() {
    [ "$1" = busy ] || tidy
    say failed "$@"
    exit 9
}
size_of() { stat -c %s -- "$1" 2>/dev/null || echo 0; }

# With curl's exit codes, for Python from 3.6 on.
by_python='
import os, shutil, sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen
url, path = sys.argv[1:]
have = os.path.getsize(path) if os.path.exists(path) else 0
try:
    reply = urlopen(Request(url, headers={"Range": "bytes=%d-" % have} if have else {}), timeout=120)
except OSError as error:
    sys.stderr.write("%s\n" % error)
    sys.exit(22 if isinstance(error, HTTPError) else 7)
print(reply.headers.get("Content-Type", ""))
try:
    with open(path, "ab" if reply.status == 206 else "wb") as file:
        shutil.copyfileobj(reply, file, 1 << 16)
except OSError as error:
    sys.stderr.write("%s\n" % error)
    sys.exit(56 if error.errno is None else 23)
sys.exit(18 if reply.length else 0)
'
# Starts what fetches an address to a file, and goes on where the file ends.
start() {
    if command -v curl >/dev/null; then
        curl -fsSLg --proto '=http,https' --connect-timeout 20 --speed-limit 1 --speed-time 120 -C - -w '%{content_type}' -o "$2" -- "$1" \
            >"$2.type" &
    elif command -v wget >/dev/null; then
        wget -nv -c -t 2 -T 120 -O "$2" -- "$1" &
    else
        python3 -c "$by_python" "$1" "$2" >"$2.type" &
    fi
}
# Fetches an address, and says how far it is.
fetch_once() {
    start "$1" "$2"
    local fetcher=$!
    while kill -0 "$fetcher" 2>/dev/null; do
        sleep 0.3
        if ! say at "$(size_of "$2")"; then
            kill "$fetcher"
            exit 9
        fi
    done
    wait "$fetcher"
}
fetch() {
    local code=0 before
    before=$(size_of "$2")
    fetch_once "$1" "$2" || code=$?
    # Some servers send no rest, or have another file by now.
    if [ "$before" -gt 0 ] && { [ "$code" = 22 ] || [ "$code" = 33 ] || [ "$code" = 8 ]; }; then
        rm -f -- "$2"
        code=0
        fetch_once "$1" "$2" || code=$?
    fi
    case $code in
        0) ;;
        5 | 6 | 7 | 35 | 60) fail network "$code" ;;
        # curl's for what takes too long, and wget's for all that a network may do.
        4 | 28) if [ "$(size_of "$2")" -gt 0 ]; then fail cut "$code"; else fail network "$code"; fi ;;
        18 | 52 | 55 | 56 | 92) fail cut "$code" ;;
        *) fail refused "$code" ;;
    esac
    case $(cat "$2.type" 2>/dev/null) in *html*) rm -f -- "$2" && fail page ;; esac
    rm -f -- "$2.type"
}
check() {
    local program=$1 wanted=$2 file=$3 found
    [ -n "$wanted" ] || return 0
    found=$("$program" -b -- "$file" | cut -d ' ' -f 1)
    [ "$found" = "$wanted" ] && return
    rm -f -- "$file"
    fail hash "${program%sum}" "$found" "$wanted"
}

unpack() {
    case $2 in
        *.zip)
            if command -v unzip >/dev/null; then
                if unzip -Z1 "$1" | grep -E '^/|(^|/)[.][.](/|$)'; then
                    echo 'these lead out of the folder'
                    return 1
                fi
                unzip -q -o "$1" -d "$unpacked"
            else
                python3 -m zipfile -e "$1" "$unpacked"
            fi
            ;;
        *.tar | *.tar.* | *.tgz) tar --no-same-owner -xf "$1" -C "$unpacked" ;;
        *) cp -- "$1" "$unpacked/$2" ;;
    esac
}
# What no archive may hold: devices and the like, and links that may lead out.
is_odd() {
    find "$unpacked" ! -type f ! -type d ! -type l | grep -q . && return
    find "$unpacked" -type l -printf '%l\n' | grep -qE '^/|(^|/)\.\.(/|$)'
}

# Puts what is missing into the sequence's folder.
fill() {
    local file
    (cd -- "$1" && find . -type d -print0) | (cd -- "$2" && xargs -0 mkdir -p --) || return
    while IFS= read -r -d '' file; do
        if [ ! -e "$2/$file" ] || [ "$(size_of "$2/$file")" != "$(size_of "$1/$file")" ]; then
            mv -f -- "$1/$file" "$2/$file" || return
        fi
    done < <(cd -- "$1" && find . ! -type d -print0)
}

mkdir -p -- "$parts" || fail write
if command -v flock >/dev/null; then
    exec 9>"$parts/$sequence.lock"
    flock -n 9 || fail busy
fi
command -v curl >/dev/null || command -v wget >/dev/null || command -v python3 >/dev/null || fail program
rm -rf -- "$unpacked"
mkdir -- "$unpacked" || fail write
done_files=()
while [ $# -ge 4 ]; do
    url=$1 file=$2 sha256=$3 md5=$4
    shift 4
    whole=$parts/$sequence.$file
    if [ ! -e "$whole" ]; then
        say step "fetches $file"
        fetch "$url" "$whole.part"
        mv -f -- "$whole.part" "$whole" || fail write
    fi
    check sha256sum "$sha256" "$whole"
    check md5sum "$md5" "$whole"
    say step "unpacks $file"
    if ! said=$(unpack "$whole" "$file" 2>&1 </dev/null); then
        printf '%s\n' "$said" | tail -n 5
        # What is damaged would be so the next time.
        case $said in *'No space left'* | *'quota exceeded'*) ;; *) rm -f -- "$whole" ;; esac
        fail unpack "$file"
    fi
    done_files+=("$whole")
done
if is_odd; then
    rm -rf -- "$unpacked" "${done_files[@]}"
    fail odd
fi
rm -rf -- "$unpacked/__MACOSX"
content=$unpacked own=${folder##*/}
if [ "$(ls -A -- "$unpacked")" = "$own" ] && [ -d "$unpacked/$own" ] && [ ! -L "$unpacked/$own" ]; then
    content=$unpacked/$own
fi
[ -n "$(ls -A -- "$content")" ] || fail empty
if [ -n "$calibration" ] && [ ! -e "$content/calib.txt" ]; then
    printf '%s\n' "$calibration" >"$content/calib.txt" || fail write
fi
if [ -e "$target" ]; then
    fill "$content" "$target" || fail write
else
    mkdir -p -- "$(dirname -- "$target")" || fail write
    mv -T -- "$content" "$target" || fail write
fi
rm -f -- "${done_files[@]}"
tidy
say end
