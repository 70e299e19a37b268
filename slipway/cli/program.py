"""The command ``slipway``: the tasks of ``invoke``, for the project that the current folder is in."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from invoke.exceptions import ParseError
from invoke.parser.context import ParserContext
from invoke.program import Program
from invoke.terminals import pty_size

from slipway import __version__
from slipway.bytecode import keep_bytecode
from slipway.cli.parser import refuse, usage
from slipway.errors import HostError
from slipway.project import find_root
from slipway.tasks import collect
from slipway.text.command_name import NAME, as_typed

_HELP = f"""\
Usage: {NAME} TASK [--options] [-- your program and its arguments]

  {NAME} --help TASK    explain a task
  {NAME} init           set up the folder that you are in
  {NAME} demo           the whole pipeline on this machine
"""
# As one comes to need them; a test finds a task that is in none.
GROUPS = {
    "Set up": (
        "init",
        "site.add",
        "ssh.trust",
        "login",
        "logout",
        "doctor",
        "box.up",
        "box.down",
        "completion",
    ),
    "Image and data": (
        "build",
        "sif",
        "push",
        "data.fetch",
        "data.check",
        "data.list",
        "data.lengths",
        "stage",
        "data.remove",
        "weights",
        "publish",
        "base",
    ),
    "Jobs": (
        "job",
        "infer",
        "train",
        "sweep",
        "monitor",
        "retry",
        "shell",
        "status",
        "logs",
        "pull",
        "extract",
        "show",
        "table",
        "cancel",
        "queues",
    ),
    "Connections": ("ssh.setup", "ssh.run", "tunnel", "ssh.config", "ssh.proxy"),
    "Dask clusters": ("dask.up", "dask.status", "dask.down"),
    "NVIDIA's platform": ("ngc.login", "ngc.exec", "ngc.logout"),
    "Container on this machine": ("start", "enter", "copy", "stop", "config"),
    "Records of runs": ("runs.show", "runs.diff", "report", "runs.prune", "keep", "restore"),
    "Try it": ("demo",),
}


class _Program(Program):
    def parse_core(self, argv: list[str] | None) -> None:
        super().parse_core(argv)
        keep_bytecode()

    def print_help(self) -> None:
        # Invoke's own options, which it would show first, are for those who run commands with it.
        print(_HELP)
        self.list_tasks()

    def list_flat(self) -> None:
        if self.list_root is not None:
            super().list_flat()
            return
        rows = dict(self._make_pairs(self.scoped_collection))
        width = max(map(len, rows))
        for title, names in GROUPS.items():
            print(f"{title}:")
            self.print_columns([(name.ljust(width), rows[name]) for name in names])

    def print_task_help(self, name: str) -> None:
        context = self.parser.contexts[name]
        print(f"Usage: {self.binary} {usage(context)}\n")
        for paragraph in (inspect.getdoc(self.collection[name]) or "").split("\n\n"):
            print(textwrap.fill(paragraph, pty_size()[0] - 1) + "\n")
        print("Options:")
        self.print_columns([_with_value(context, *row) for row in context.help_tuples()])

    def parse_cleanup(self) -> None:
        try:
            super().parse_cleanup()
        except ParseError as error:  # `--help` of a word that is no task
            raise refuse(error, [str(self.args.help.value)], self.parser.contexts) from error


def _with_value(task: ParserContext, option: str, words: str | None) -> tuple[str, str | None]:
    """An option with its explanation; Invoke leaves out that those take a value which may be repeated."""
    takes = option in task.flags and task.flags[option].kind is list
    return f"{option}=STRING" if takes else option, words


def make_program() -> Program:
    """The command, with the tasks of the project that the current folder is in."""
    here = _here()
    tasks = collect(find_root(here) or here)
    for name in tasks.task_names:
        task = tasks[name]
        task.__doc__ = as_typed(task.__doc__ or "", NAME)
    return _Program(version=__version__, namespace=tasks, name="Slipway", binary=NAME, binary_names=[NAME])


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        from slipway.terminal.terminal import Terminal

        Terminal().error("the folder that you are in was removed; go to another one")
        sys.exit(HostError.exit_code)


def main() -> None:
    """Run the task that the command line names."""
    make_program().run(_with_help(sys.argv))


def _with_help(argv: Sequence[str]) -> list[str]:
    # `slipway help job`, as with git or docker.
    return [argv[0], "--help", *argv[2:]] if argv[1:2] == ["help"] else list(argv)


if __name__ == "__main__":
    main()
