# slipway completion: written by `slipway completion`; it is replaced and removed as a whole.

# What completes for a command: the `slipway` that is installed beside it.
_slipway_program() {
    local command=$1 folder
    [[ $command == \~/* ]] && command=$HOME/${command#\~/}
    case ${command##*/} in
        invoke | inv)
            command=$(type -P -- "$command") || return
            folder=${command%/*}
            ;;
        run)
            folder=${command%/*}
            # Others have scripts of this name, too.
            [[ $folder != "$command" && -f $folder/slipway/completion/answer.py ]] || return
            folder+=/.venv/bin
            ;;
        *)
            type -P -- "$command"
            return
            ;;
    esac
    [[ -x $folder/slipway ]] && printf '%s\n' "$folder/slipway"
}

_slipway() {
    local program answer line first=1 IFS=$' \t\n'
    COMPREPLY=()
    if program=$(_slipway_program "$1" 2>/dev/null); then
        answer=$("$program" __complete bash "$1" "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null </dev/null)
    else
        answer=elsewhere
    fi
    while IFS= read -r line; do
        if ((first)); then
            first=0
            case ${line%% *} in
                elsewhere) _slipway_elsewhere "$@" ;;
                files) compopt -o default -o bashdefault 2>/dev/null ;;
                folders) compopt -o dirnames 2>/dev/null ;;
                nospace) compopt -o nospace 2>/dev/null ;;
            esac
            # From bash 4.4 on; before, they are sorted.
            compopt -o nosort 2>/dev/null
        else
            COMPREPLY+=("$line")
        fi
    done <<<"$answer"
}

# Where there is no project of Slipway's: what Invoke's own script offers, or files.
_slipway_elsewhere() {
    local line
    compopt -o default -o bashdefault 2>/dev/null
    case ${1##*/} in
        invoke | inv)
            while IFS= read -r line; do
                [[ $line == "$2"* ]] && COMPREPLY+=("$line")
            done < <("$1" --complete -- "${COMP_WORDS[@]}" 2>/dev/null </dev/null)
            ;;
    esac
}

# Bash 3.2, as on a Mac, knows no compopt: names of files where there is nothing else.
if ((BASH_VERSINFO[0] < 4)); then
    _slipway_options='-o default -o bashdefault'
else
    _slipway_options=''
fi
# shellcheck disable=SC2086 # several words, or none
complete $_slipway_options -F _slipway slipway invoke inv
# What completes some other script `run` is left alone.
# shellcheck disable=SC2086
complete -p run >/dev/null 2>&1 || complete $_slipway_options -F _slipway run
unset _slipway_options
