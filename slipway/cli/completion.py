"""The task that has a shell complete what is typed."""

from __future__ import annotations

import os

from invoke.context import Context
from invoke.tasks import task


@task(
    help={
        "shell": "bash, zsh or fish. Default, with --install: yours, by $SHELL.",
        "install": "Have it in each new terminal.",
        "uninstall": "Take away what --install has added, for all shells.",
    },
    auto_shortflags=False,
)
def completion(
    context: Context, shell: str | None = None, install: bool = False, uninstall: bool = False
) -> None:
    """Complete tasks, options and names by Tab: invoke completion --install.

    With the name of a shell, print its script: invoke completion bash.
    """
    from slipway.terminal.terminal import terminal

    with terminal() as screen:
        from slipway.completion.install import script
        from slipway.errors import UsageError

        if install and uninstall:
            raise UsageError("--install and --uninstall contradict each other; leave one of them out")
        if install or uninstall:
            for line in _install(shell) if install else _uninstall():
                screen.say(line)
        elif shell:
            print(script(shell), end="")
        else:
            raise UsageError(
                "add --install, or name the shell whose script is to be printed: bash, zsh or fish"
            )


def _install(shell: str | None) -> list[str]:
    from slipway.completion import install as steps

    homes = steps.Homes.find(os.environ)
    shell = shell or steps.find_shell(os.environ)
    folder = steps.bash_folder(homes, os.environ) if shell == "bash" else None
    wanted = steps.plan(shell, homes, folder)
    change = steps.install(wanted)
    lines = [
        f"{file}{' written' if file in wanted.files else ': marked lines added'}" for file in change.done
    ]
    lines += [f"{file} is not Slipway's and stays as it is" for file in change.foreign]
    if change.done:
        return [*lines, f"Completion for {shell} works in each new terminal."]
    return [*lines, f"Completion for {shell} is there already; nothing changed."]


def _uninstall() -> list[str]:
    from slipway.completion import install as steps

    homes = steps.Homes.find(os.environ)
    folders = [homes.data / "bash-completion" / "completions", steps.bash_folder(homes, os.environ)]
    change = steps.uninstall(homes, [folder for folder in folders if folder])
    lines = [f"{file} {'as it was before' if file.exists() else 'removed'}" for file in change.done]
    return lines or ["There was nothing to take away."]
