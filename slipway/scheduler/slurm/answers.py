"""Asking SLURM's programs, several in one round trip, and what they answered."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from slipway.errors import ParseError
from slipway.host.host import Host
from slipway.scheduler.slurm.commands import TIME_FORMAT
from slipway.shell import Result

# A program is given at most 128 kB as one argument (MAX_ARG_STRLEN), which both commands with all names are.
AT_ONCE = 500
_Row = TypeVar("_Row")


class Answers(Generic[_Row]):
    """What one of SLURM's programs has answered, and why it has not answered all.

    Attributes:
        rows: what was read.
        problem: why it could not be asked, or its answer could not be read.
    """

    def __init__(self, program: str, parse: Callable[[str], Iterable[_Row]]) -> None:
        self.rows: list[_Row] = []
        self.problem: str | None = None
        self._program = program
        self._parse = parse

    def add(self, result: Result) -> None:
        """Take one answer; once there is a problem, no more are read."""
        if self.problem is not None:
            return
        if not result.ok:
            words = " ".join(result.stderr.split()) or f"it ended with exit code {result.exit_code}"
            self.problem = f"{self._program} could not be asked: {words}"
            return
        try:
            self.rows += self._parse(result.stdout)
        except ParseError as error:
            self.problem = str(error)


def parts(items: Sequence[str]) -> Iterator[Sequence[str]]:
    """Names or ids in parts, of which each fits into one command."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def run_all(host: Host, commands: Sequence[Sequence[str]]) -> list[Result]:
    """Run commands one after the other, in one round trip."""
    mark = secrets.token_hex(16)
    name, value = TIME_FORMAT
    times = f"{name}={value}; export {name}\n"
    ran = "".join(
        f"errors=$( {{ {shlex.join(command)} >&3; }} 2>&1 </dev/null )\n"
        f"printf '%s%s\\n%s%s' {mark} $? \"$errors\" {mark}\n"
        for command in commands
    )
    printed = host.run_in_login_shell(["sh", "-c", f"{times}exec 3>&1\n{ran}"]).stdout.split(mark)
    if len(printed) != 2 * len(commands) + 1:
        raise ParseError(f"{host.target}: SLURM's answers were cut off; try again")
    results = []
    for command, stdout, ending in zip(commands, printed[::2], printed[1::2], strict=False):
        code, _, errors = ending.partition("\n")
        results.append(Result(argv=tuple(command), exit_code=int(code), stdout=stdout, stderr=errors))
    return results
