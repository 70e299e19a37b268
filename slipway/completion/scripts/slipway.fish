# slipway completion: written by `slipway completion`; it is replaced and removed as a whole.

# What completes for a command: the `slipway` that is installed beside it.
function __slipway_program
    set -l command (string replace -r '^~/' "$HOME/" -- $argv[1])
    set -l folder (string replace -r '/[^/]*$' '' -- $command)
    switch (string replace -r '.*/' '' -- $command)
        case invoke inv
            set command (command -s -- $command); or return
            set folder (string replace -r '/[^/]*$' '' -- $command)
        case run
            # Others have scripts of this name, too.
            test "$folder" != "$command" -a -f "$folder/slipway/completion/answer.py"; or return
            set folder $folder/.venv/bin
        case '*'
            command -s -- $command
            return
    end
    test -x $folder/slipway; and echo $folder/slipway
end

function __slipway_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer 'elsewhere '
    if set -l program (__slipway_program $words[1] 2>/dev/null)
        set answer ($program __complete fish $words "$current" 2>/dev/null </dev/null)
    end
    set -l kind (string replace -r ' .*' '' -- "$answer[1]")
    # It stands before the name of a file, as in --file=name.
    set -l prefix (string replace -r '^[^ ]* ' '' -- "$answer[1]")
    set -l rest (string sub --start (math 1 + (string length -- "$prefix")) -- "$current")
    switch "$kind"
        case elsewhere
            __slipway_elsewhere $words "$current"
        case files
            for file in (__slipway_files "$rest")
                echo "$prefix$file"
            end
        case folders
            for folder in (__slipway_files "$rest" | string match -r '.*/$')
                echo "$prefix$folder"
            end
        case '*'
            set -q answer[2]; and printf '%s\n' $answer[2..-1]
    end
end

# What fish itself completes for a command that it does not know; it reads quotes, too.
function __slipway_files
    complete --do-complete "__slipway_no_such_command $argv[1]"
end

# Where there is no project of Slipway's: what Invoke's own script offers, or files.
function __slipway_elsewhere
    set -l found
    switch (string replace -r '.*/' '' -- $argv[1])
        case invoke inv
            set found ($argv[1] --complete -- $argv 2>/dev/null </dev/null)
    end
    if set -q found[1]
        printf '%s\n' $found
    else
        __slipway_files $argv[-1]
    end
end

for command in slipway invoke inv run
    complete --command $command --no-files --keep-order --arguments '(__slipway_complete)'
end
