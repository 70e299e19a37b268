"""Tasks that let an editor into the container of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway.cli.common import RUN, open_session, read_task

if TYPE_CHECKING:
    from slipway.terminal.terminal import Terminal


@task(
    name="config",
    help={
        **RUN,
        "task": "Which task of an array: a number.",
        "yes": "Ask nobody whether ~/.ssh/config may be changed.",
        "undo": "Take the entry of the run away, or all; with the last, the line in ~/.ssh/config, too.",
    },
    auto_shortflags=False,
)
def config(
    context: Context, run: str | None = None, task: str | None = None, yes: bool = False, undo: bool = False
) -> None:
    """Let ssh and editors into the container of a run: invoke ssh.config RUN, then ssh slipway-RUN.

    VS Code and PyCharm find the host slipway-RUN by themselves. The connection goes through the login node to
    an sshd that a step of your job starts for it on the node, on no port, with keys made for this run alone.
    """
    with open_session(context) as (session, screen):
        from slipway.steps import editor
        from slipway.steps.find import find_run

        if undo and run is None:
            for line in editor.remove_entries(session, None):
                screen.say(line)
            return
        found, site = find_run(session, run)
        number = read_task(task)
        if undo:
            entry = editor.find_entry(session, found, site, number)
            for line in editor.remove_entries(session, [entry.alias]):
                screen.say(line)
            return
        entry = editor.write_entry(session, found, site, number)
        if editor.needs_include():
            _include(screen, yes=yes)
        screen.say(f"ssh {entry.alias}")
        if entry.also:
            screen.note(f"or, by its name: ssh {entry.also}")


def _include(screen: Terminal, *, yes: bool) -> None:
    from slipway.editor.entry import INCLUDE
    from slipway.steps import editor

    line, file = INCLUDE.strip(), editor.ssh_folder() / "config"
    question = f"May `{line}` become the first line of {file}? (yes or no) "
    if yes or screen.ask(question, echo=True) in ("yes", "y"):
        editor.write_include()
        screen.note(f"{file} begins with `{line}` now; `invoke ssh.config --undo` takes it out")
    else:
        screen.note(f"{file} is as it was. Without `{line}` in it: ssh -F ~/.ssh/slipway_config …")


@task(
    name="proxy",
    help={**RUN, "task": "Which task of an array: a number."},
    auto_shortflags=False,
)
def proxy(context: Context, run: str | None = None, task: str | None = None) -> None:
    """Carry one connection of ssh into the container of a run; ssh itself calls it, see ssh.config."""
    with open_session(context) as (session, _):
        from slipway.steps.editor import serve_proxy
        from slipway.steps.find import find_run

        found, site = find_run(session, run)
        code = serve_proxy(session, found, site, read_task(task))
    if code:
        raise Exit(code=code)
