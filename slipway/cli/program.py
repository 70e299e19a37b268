"""The command ``slipway``: the tasks of ``invoke``, for the project that the current folder is in."""

from __future__ import annotations

from pathlib import Path

from invoke.program import Program

from slipway import __version__
from slipway.project import find_root
from slipway.tasks import collect
from slipway.text.command_name import NAME, as_typed

_HELP = f"""\
Usage: {NAME} TASK [--options] [-- the words of your program]

  {NAME} --help TASK    explain a task
  {NAME} init           set up the folder that you are in
  {NAME} demo           the whole pipeline on this machine
"""


class _Program(Program):
    def print_help(self) -> None:
        # Invoke's own options, which it would show first, are for those who run commands with it.
        print(_HELP)
        self.list_tasks()


def make_program() -> Program:
    """The command, with the tasks of the project that the current folder is in."""
    here = Path.cwd()
    tasks = collect(find_root(here) or here)
    for name in tasks.task_names:
        task = tasks[name]
        task.__doc__ = as_typed(task.__doc__ or "", NAME)
    return _Program(version=__version__, namespace=tasks, name="Slipway", binary=NAME, binary_names=[NAME])


def main() -> None:
    """Run the task that the command line names."""
    make_program().run()


if __name__ == "__main__":
    main()
