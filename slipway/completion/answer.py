"""What a shell's script asks: ``slipway __complete SHELL …``. It prints all at once, or nothing.

The first line says what there is and, behind a blank, what of the word stands before it (``--file=``). A line
for each candidate follows:

==============  ====================================================================
``words``       the candidates
``nospace``     the same, and no blank is to follow the one that fits
``files``       the shell finds files by itself
``folders``     the shell finds folders by itself
``elsewhere``   there is no project of Slipway's here: what Invoke itself would offer
==============  ====================================================================
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

from slipway.completion.bash_line import fit, read_line
from slipway.completion.candidates import FILES, Answer, find_candidates
from slipway.completion.place import find_place

# The first word of a command line that asks.
ASKS = "__complete"
_ELSEWHERE = "elsewhere \n"
_INVOKE = ("invoke", "inv")
_RUN = "run"
# A blank behind these is in the way of what follows.
_GOES_ON = ("/", "=", ":")


def main(argv: Sequence[str]) -> None:
    """Answer, and end the process; whatever is wrong, nothing is said.

    Args:
        argv: the shell's name, and for bash the command, the line up to the cursor, and what bash completes;
            for others the words up to the cursor, the command's name first.
    """
    output = _silence()
    try:
        text = answer(argv[0], argv[1:])
    except BaseException:  # a broken tasks.py, say, may raise anything
        text = ""
    os.write(output, os.fsencode(text))
    # Nothing that a user's tasks.py has started is waited for.
    os._exit(0)


def answer(shell: str, typed: Sequence[str]) -> str:
    """What is printed."""
    if shell == "bash":
        command, before, tail = typed
        line = read_line(before)
        if line.is_redirected:
            return f"{FILES} \n"
        found = _find(command, line.words[1:])
        return (
            _ELSEWHERE
            if found is None
            else _text(found, [fit(one.word, line, tail) for one in found.candidates])
        )
    # Fish hands over the last word as it is typed, with its quotes.
    words = typed if shell != "fish" else (*typed[:-1], read_line(typed[-1]).words[-1])
    found = _find(words[0], words[1:])
    if found is None:
        return _ELSEWHERE
    return _text(found, [f"{one.word}\t{one.help}" for one in found.candidates])


def _text(found: Answer, lines: Sequence[str]) -> str:
    goes_on = len(found.candidates) == 1 and found.candidates[0].word.endswith(_GOES_ON)
    first = found.shell or ("nospace" if goes_on else "words")
    return "".join(f"{line}\n" for line in (f"{first} {found.prefix}", *lines))


def _find(command: str, words: Sequence[str]) -> Answer | None:
    from slipway.completion.load import load_grammar
    from slipway.completion.names import ProjectNames
    from slipway.project import Project, find_root

    here = Path.cwd()
    name = PurePath(command).name
    if name == _RUN:
        here = Path(command).expanduser().parent.absolute()
    root = find_root(here)
    is_invoke = name in (*_INVOKE, _RUN)
    if is_invoke and root is None:
        return None
    project = Project.find(root or here)
    grammar = load_grammar(project, here if is_invoke else None)
    return find_candidates(find_place(grammar, words), grammar, ProjectNames(project=project))


def _silence() -> int:
    """The output that the shell reads; what anybody else prints goes nowhere."""
    output = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return output
