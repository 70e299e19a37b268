"""The submission lock of a run: sbatch runs at most once.

Two may come upon a run whose job SLURM does not know: the command that submits it, and a later one that
finds it unfinished because the first was killed or cut off. Both try to make the same link in the run's
folder, which only one can do. The one who submits makes it in the very shell that then calls ``sbatch``, and
writes down beside it what ``sbatch`` answered. So whoever comes later finds the answer, or makes sure that
nothing will ever be submitted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.errors import ParseError

# The exit code of a shell that the other side was faster than. Neither sbatch nor timeout has it.
TOO_LATE = 79
# The exit codes of a shell that found no packed data, no code, could not make a run's folder, not write its
# files, or found no image.
NO_DATA, NO_CODE, NOT_MADE, NOT_WRITTEN, NO_IMAGE = 74, 75, 76, 77, 78
# Others may not read the arguments. Of an archive that is cut short, the last file is missing or not whole.
# Whoever removes images, code or packed data looks at the records first; this one may have been written too
# late for that.
_MAKE_RUN = f"""run=$1 last=$2 image=$3 code=$4
mkdir -m 700 -- "$run" || exit {NOT_MADE}
[ ! -L "${{run%/*}}/.${{run##*/}}.given-up" ] || {{ rm -rf -- "$run"; exit {TOO_LATE}; }}
tar -xf - -C "$run" --no-same-owner --no-same-permissions && [ -f "$run/$last" ] ||
    {{ rm -rf -- "$run"; exit {NOT_WRITTEN}; }}
[ -e "$image" ] || {{ rm -rf -- "$run"; exit {NO_IMAGE}; }}
[ -d "$code" ] || {{ rm -rf -- "$run"; exit {NO_CODE}; }}
shift 4
for file; do
    [ -e "$file" ] || {{ rm -rf -- "$run"; exit {NO_DATA}; }}
done
"""
_LOCK_AND_SUBMIT = f"""folder=$1 limit_s=$2
shift 2
trap '' HUP PIPE
mine=submitting-$$-$(date +%s%N)
ln -s "$mine" "$folder/claim" 2>/dev/null
[ "$(readlink "$folder/claim")" = "$mine" ] || exit {TOO_LATE}
timeout -k 5 "$limit_s" "$@" </dev/null >"$folder/answer.out.part" 2>"$folder/answer.err.part"
code=$?
out=$(cat "$folder/answer.out.part") err=$(cat "$folder/answer.err.part")
printf '%s\\0%s\\0%s\\0' "$code" "$out" "$err" >"$folder/answer.part" &&
    mv "$folder/answer.part" "$folder/answer"
rm -f "$folder/answer.out.part" "$folder/answer.err.part"
printf '%s\\n' "$out"
printf '%s\\n' "$err" >&2
exit "$code"
"""
# A folder that does not exist was never claimed. Should it still be made, by a command whose sender was
# killed, the link beside it says that it is to go again; after an hour nothing is on its way. A folder
# that exists goes in one step: while its content is removed, the link would be gone before the folder is, and
# could be made again.
_GIVE_UP = f"""folder=$1
runs=${{folder%/*}} name=${{folder##*/}}
find "$runs" -maxdepth 1 -name '.*.given-up' -mmin +60 -exec rm -f -- {{}} + 2>/dev/null
[ -d "$folder" ] || ln -s given-up "$runs/.$name.given-up" 2>/dev/null
[ -d "$folder" ] || exit 0
ln -s given-up "$folder/claim" 2>/dev/null
[ "$(readlink "$folder/claim")" = given-up ] || exit {TOO_LATE}
gone=$runs/.$name.gone
mv -- "$folder" "$gone" && rm -rf -- "$gone"
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What ``sbatch`` answered: its exit code and both outputs."""

    exit_code: int
    stdout: str
    stderr: str


def locked_submit_command(folder: PurePosixPath, submit: Sequence[str], limit_s: int) -> list[str]:
    """Submit a run, unless it was given up; ends as ``submit`` does, or with :data:`TOO_LATE`.

    Args:
        folder: the run's.
        submit: the argv that submits it.
        limit_s: seconds after which that is ended.
    """
    return ["sh", "-c", _LOCK_AND_SUBMIT, "slipway", str(folder), str(limit_s), *submit]


def make_run_command(
    folder: PurePosixPath,
    last: str,
    image: PurePosixPath,
    code: PurePosixPath,
    packed: Sequence[PurePosixPath] = (),
) -> list[str]:
    """Make a run's folder of the archive on standard input.

    It is a command of its own. Whoever gives a run up takes it that what has no folder is never submitted; a
    command that is still on its way must not do both.

    Args:
        folder: the run's; it must not be there yet.
        last: the name of the archive's last file.
        image: the run's image.
        code: the run's tree of code.
        packed: the packed data that it sees.
    """
    words = (folder, last, image, code, *packed)
    return ["sh", "-c", _MAKE_RUN, "slipway", *map(str, words)]


def give_up_command(folder: PurePosixPath) -> list[str]:
    """Give a run up and remove its folder, unless it was claimed: then it ends with :data:`TOO_LATE`."""
    return ["sh", "-c", _GIVE_UP, "slipway", str(folder)]


def parse_answer(content: str) -> Answer:
    """Read what the shell of :func:`locked_submit_command` has written down.

    Raises:
        ParseError: it is not of this form.
    """
    fields = content.split("\0")
    if len(fields) != 4 or not re.fullmatch(r"[0-9]{1,3}", fields[0]):
        raise ParseError(f"the run's `answer` holds {content[:200]!r}; expected sbatch's code and output")
    return Answer(exit_code=int(fields[0]), stdout=fields[1], stderr=fields[2])
