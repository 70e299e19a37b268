#!/bin/bash
# Serves one ssh connection into the container of a running job, for an editor. `invoke ssh.proxy RUN` starts it on the
# job's node, as a step of the job, and carries its standard input and output. What it does, in order:
#
#  - It puts a host key, made for this run, into a folder that is for the user alone.
#  - It starts the node's own sshd as this user, for this one connection, on its standard input and output: no port is
#    opened, and only the key made for this run is let in. Where the node has none, that of the image is started in the
#    job's container.
#  - Each command of the connection is run in the container by cluster/join.sh: shells, programs, file transfer.
#  - It removes the folder when the connection ends, and those of connections whose own was killed before it could.
#
# Its arguments: `serve`, how many bytes of its input the host key has, the public key that is let in, the text of
# join.sh, then what join.sh wants: the run's id, its folder, what prepares the node, the words of a second container.

say() { printf 'slipway: %s\n' "$*" >&2; }

find_program() { # the first of these paths that can be run
    local one
    for one; do
        if [ -x "$one" ]; then
            echo "$one"
            return
        fi
    done
    return 1
}

# Runs in the container, whose /bin/sh it is. A home folder that is not there, or not to be written, is no place for an
# editor's server.
# shellcheck disable=SC2016 # the container's shell fills these in
inside='if ! [ -d "$HOME" ] || ! [ -w "$HOME" ]; then
    HOME=/tmp/slipway-home-$(id -u)-$SLIPWAY_RUN
    mkdir -m 700 "$HOME" 2>/dev/null
    # Others may write to /tmp, and know this name.
    { [ -O "$HOME" ] && ! [ -L "$HOME" ]; } || { echo "slipway: $HOME is somebody else'\''s" >&2; exit 1; }
    export HOME
fi
SHELL=$(command -v bash) || SHELL=/bin/sh
export SHELL
case $1 in
shell) exec "$SHELL" ;;
command) exec "$SHELL" -c "$2" ;;
sftp)
    for one in /usr/lib/openssh /usr/libexec/openssh /usr/libexec /usr/lib/ssh /usr/lib; do
        if [ -x "$one/sftp-server" ]; then exec "$one/sftp-server"; fi
    done
    if [ -x "$2/ld.so" ]; then exec "$2/ld.so" --library-path "$2" "$2/sftp-server"; fi
    echo "slipway: there is no sftp-server in the image; install openssh-sftp-server there (or use scp -O)" >&2
    exit 127 ;;
esac'

write_config() { # what each command of the connection is handed to
    printf '%s\n' "HostKey $folder/host_key" "AuthorizedKeysFile $folder/authorized_keys" "ForceCommand $1" \
        'Subsystem sftp slipway-sftp' 'AuthenticationMethods publickey' 'PubkeyAuthentication yes' \
        'PasswordAuthentication no' 'UsePAM no' 'StrictModes no' 'PidFile none' 'PermitUserRC no' 'PrintMotd no' \
        'PrintLastLog no' 'X11Forwarding no' 'AllowAgentForwarding no' 'AllowTcpForwarding yes' \
        'AllowStreamLocalForwarding yes' 'ClientAliveInterval 60' 'LogLevel ERROR' >"$folder/sshd_config"
}

remove_left() { # what the folders' names begin with; then comes the number of the process that serves the connection
    local one pid
    for one in "$1".*.*; do
        pid=${one#"$1".} pid=${pid%%.*}
        case $pid in '' | *[!0-9]*) continue ;; esac
        if [ -d "$one" ] && ! [ -L "$one" ] && [ -O "$one" ] && ! kill -0 "$pid" 2>/dev/null; then rm -rf "$one"; fi
    done
}

serve() {
    local sshd mask begin size=$1 key=$2 join=$3
    shift 3
    mask=$(umask)
    umask 077
    # Numbers of processes count on one machine, in one namespace.
    begin="/tmp/slipway-ssh.$(uname -n).$(readlink /proc/self/ns/pid | tr -dc 0-9)"
    remove_left "$begin"
    folder=$(mktemp -d "$begin.$$.XXXXXXXX") || exit
    trap 'rm -rf "$folder"' EXIT
    trap 'exit 143' TERM HUP INT
    head -c "$size" >"$folder/host_key"
    printf '%s\n' "$key" >"$folder/authorized_keys"
    if sshd=$(find_program /usr/sbin/sshd /usr/local/sbin/sshd /usr/lib/openssh/sshd "$(command -v sshd)"); then
        printf %s "$join" >"$folder/join.sh"
        printf %s "$BASH_EXECUTION_STRING" >"$folder/editor.sh"
        printf 'export %q\n' "SLURM_JOB_ID=$SLURM_JOB_ID" "SLIPWAY_JOB_ID=$SLIPWAY_JOB_ID" "SLIPWAY_TASK=$SLIPWAY_TASK" \
            >"$folder/settings"
        printf 'joining=(%q %q %q %q %q)\n' "$@" >>"$folder/settings"
        write_config "bash $folder/editor.sh enter $folder"
        umask "$mask"
        "$sshd" -i -e -f "$folder/sshd_config"
    else
        bring_sftp
        serve_inside "$join" "$@"
    fi
}

# sshd gives each command an environment of its own; the program's is kept beside it.
# shellcheck disable=SC2016 # the container's shell fills these in
start_inside='[ -d "$1" ] || { echo "slipway: the container does not see $1 of $(uname -n)" >&2; exit 1; }
export -p >"$1/environment"
for sshd in /usr/sbin/sshd /usr/local/sbin/sshd /usr/lib/openssh/sshd; do
    if [ -x "$sshd" ]; then exec "$sshd" -i -e -f "$1/sshd_config"; fi
done
echo "slipway: neither the node nor the image has sshd; install openssh-server in the image" >&2
exit 127'

serve_inside() { # the text of join.sh, and its arguments
    local join=$1
    shift
    # shellcheck disable=SC2016 # the container's shell fills these in
    printf '%s\n' ". $folder/environment" 'case $SSH_ORIGINAL_COMMAND in' "'') set -- shell ;;" \
        "slipway-sftp) set -- sftp $folder/sftp ;;" '*) set -- command "$SSH_ORIGINAL_COMMAND" ;;' 'esac' \
        "$inside" >"$folder/within"
    write_config "/bin/sh $folder/within"
    umask "$mask"
    bash -c "$join" slipway-join "$@" /bin/sh -c "$start_inside" slipway "$folder"
}

# The node has a program for files and the image need not: it is taken along with its libraries and their loader.
bring_sftp() {
    local server
    server=$(find_program /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/libexec/sftp-server \
        /usr/lib/ssh/sftp-server) || return
    mkdir "$folder/sftp" || return
    cp "$server" "$folder/sftp/sftp-server"
    ldd "$server" | sed -n 's/^.*=> \(\/[^ ]*\) (.*$/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*$/\1/p' | while read -r one; do
        case $one in
        */ld-*.so*) cp -L "$one" "$folder/sftp/ld.so" ;;
        *) cp -L "$one" "$folder/sftp/" ;;
        esac
    done
} 2>/dev/null

enter() {
    local -a words
    folder=$1
    # shellcheck disable=SC1091 # it is written above
    . "$folder/settings"
    case $SSH_ORIGINAL_COMMAND in
    '') words=(shell) ;;
    slipway-sftp)
        [ -d "$folder/sftp" ] || bring_sftp
        words=(sftp "$folder/sftp")
        ;;
    *) words=(command "$SSH_ORIGINAL_COMMAND") ;;
    esac
    # shellcheck disable=SC2154 # likewise
    exec bash -c "$(cat "$folder/join.sh")" slipway-join "${joining[@]}" /bin/sh -c "$inside" slipway "${words[@]}"
}

"$@"
