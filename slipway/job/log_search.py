"""Lines of logs that match, found on the cluster by its grep, so that no other line travels."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import PurePosixPath

from slipway.errors import ConnectionLostError, RemoteError, UsageError
from slipway.host.host import Host
from slipway.job.attempts import NEWEST_ATTEMPT
from slipway.job.run import Run, RunPaths
from slipway.job.tail import LogPart

_BAD_PATTERN = 90
# Words: the pattern, how many of the last lines or nothing, which attempt. The folders come on its input.
_SEARCH = f"""{NEWEST_ATTEMPT}
pattern=$1 lines=$2 which=$3
LC_ALL=C
export LC_ALL
grep -aE -e "$pattern" </dev/null
[ $? -le 1 ] || exit {_BAD_PATTERN}
last() {{ if [ -n "$lines" ]; then tail -n "$lines"; else cat; fi; }}
show() {{ # file, heading
    [ -f "$1" ] || return 0
    grep -aE -e "$pattern" -- "$1" </dev/null | last | {{
        IFS= read -r first || exit 0
        [ -z "$2" ] || printf '%s\\n' "--- $2 ---"
        printf '%s\\n' "$first"
        exec cat
    }}
}}
while IFS= read -r folder; do
    if [ "$which" = slurm ]; then
        show "$folder/slurm.log" ''
        continue
    fi
    task=
    case ${{folder##*/}} in task-*) task="task ${{folder##*/task-}}" ;; esac
    newest_attempt "$folder"
    case $which in
    all) number=1 ;;
    last) number=$newest ;;
    *) number=$which newest=$which ;;
    esac
    while [ "$number" -le "$newest" ]; do
        heading=$task
        [ "$number" -le 1 ] || heading="${{task:+$task, }}attempt $number"
        show "$folder/attempt-$number/log" "$heading"
        number=$((number + 1))
    done
done
"""


def search(
    host: Host, run: Run, pattern: str, part: LogPart, on_text: Callable[[str], None], *, slurm: bool = False
) -> bool:
    """Hand over the lines of a run's log that match; true where there was one.

    Args:
        host: the connection; it has to run commands.
        run: the run.
        pattern: an extended regular expression of POSIX, as ``grep -E`` has it; letters are bytes.
        part: where to look; of what is found there, only the last lines, where it says so.
        on_text: is given each piece.
        slurm: look in SLURM's own log.

    Raises:
        UsageError: grep does not take the pattern.
        ConnectionLostError: the connection was lost.
    """
    which = "slurm" if slurm else str(part.attempt or ("all" if part.last_lines is None else "last"))
    lines = "" if part.last_lines is None else str(part.last_lines)
    paths = RunPaths(PurePosixPath(run.run_dir))
    tasks = [None] if slurm else [task for task in run.tasks if not part.tasks or task in part.tasks]
    folders = "".join(f"{paths.of_task(task).folder}\n" for task in tasks)
    has_found = False
    host.require_commands()
    with host.start(["sh", "-c", _SEARCH, "slipway", pattern, lines, which]) as program:
        if program.wait_for_begin():
            program.feed(folders.encode())
        decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        for chunk in program.chunks():
            has_found = True
            on_text(decoder.decode(chunk))
        if rest := decoder.decode(b"", final=True):
            on_text(rest)
        errors, code = program.errors().decode("utf-8", "replace").strip(), program.exit_code()
    if code < 0:
        raise ConnectionLostError(f"{host.target}: the connection was lost; try again")
    if code == _BAD_PATTERN:
        raise UsageError(f"--grep {pattern!r} is no extended regular expression (grep -E): {errors}")
    if code:
        raise RemoteError(f"{host.target}: the log could not be searched: {errors or f'exit code {code}'}")
    return has_found


class LineFilter:
    """Lines that match, of a log that comes whole: where the host runs no commands.

    Args:
        pattern: an extended regular expression; Python's reader of it knows no ``[[:digit:]]``.
        on_text: is given each line.

    Attributes:
        has_found: a line has matched.

    Raises:
        UsageError: the pattern cannot be read.
    """

    def __init__(self, pattern: str, on_text: Callable[[str], None]) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise UsageError(f"--grep {pattern!r} is no regular expression: {error}") from error
        self._on_text = on_text
        self._begun = ""
        self.has_found = False

    def add(self, text: str) -> None:
        """Take a piece of the log."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._show(line)

    def end(self) -> None:
        """Take the end of the log for that of a line."""
        if self._begun:
            self._show(self._begun)
        self._begun = ""

    def _show(self, line: str) -> None:
        if self._pattern.search(line):
            self.has_found = True
            self._on_text(f"{line}\n")
