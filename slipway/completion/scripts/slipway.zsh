#compdef slipway invoke inv run
# slipway completion: written by `slipway completion`; it is replaced and removed as a whole.

# What completes for a command: the `slipway` that is installed beside it.
_slipway_program() {
    local command=${1/#\~\//$HOME/} folder
    case ${command:t} in
        invoke|inv)
            command=$(whence -p -- $command) || return
            folder=${command:h}
            ;;
        run)
            # Others have scripts of this name, too.
            [[ $command == */* && -f ${command:h}/slipway/completion/answer.py ]] || return
            folder=${command:h}/.venv/bin
            ;;
        *)
            whence -p -- $command
            return
            ;;
    esac
    [[ -x $folder/slipway ]] && print -r -- $folder/slipway
}

_slipway() {
    local program line word help kind prefix
    local -a lines words_before spaced bare
    words_before=("${(@Q)words[1,CURRENT-1]}")
    if program=$(_slipway_program "$words_before[1]" 2>/dev/null); then
        lines=("${(@f)$("$program" __complete zsh "$words_before[@]" "${(Q)PREFIX}" 2>/dev/null </dev/null)}")
    else
        lines=('elsewhere ')
    fi
    kind=${lines[1]%% *}
    # Behind --option= only the value is shown.
    prefix=${lines[1]#* }
    [[ -n $prefix ]] && compset -P "${(b)prefix}"
    case $kind in
        elsewhere) _slipway_elsewhere; return ;;
        files) _files; return ;;
        folders) _path_files -/; return ;;
    esac
    for line in "${(@)lines[2,-1]}"; do
        word=${${line%%$'\t'*}#$prefix} help=${line#*$'\t'}
        word=${word//:/\\:}${help:+:$help}
        [[ ${line%%$'\t'*} == *[=:/] ]] && bare+=($word) || spaced+=($word)
    done
    local result=1
    (( $#spaced )) && _describe -V slipway spaced && result=0
    (( $#bare )) && _describe -V slipway bare -S '' && result=0
    return result
}

# Where there is no project of Slipway's: what Invoke's own script offers, or files.
_slipway_elsewhere() {
    local -a found
    case ${words[1]:t} in
        invoke|inv) found=("${(@f)$(${(Q)words[1]} --complete -- "${(@)words}" 2>/dev/null </dev/null)}") ;;
    esac
    found=(${found:#})
    (( $#found )) && compadd -a found || _files
}

# Loaded as a function of this name, or sourced.
if [[ $funcstack[1] == _slipway ]]; then
    _slipway "$@"
else
    compdef _slipway slipway invoke inv run
fi
