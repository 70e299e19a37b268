"""The command that makes the run again."""

from __future__ import annotations

from slipway.job.run import Run
from slipway.page.markup import Html, element, facts, join
from slipway.page.subject import Section, Subject
from slipway.report.run_details import replay_command
from slipway.text.shell_line import shell_line

_OPTIONS = (
    "time",
    "cpus",
    "mem",
    "gpus",
    "partition",
    "account",
    "qos",
    "nodes",
    "constraint",
    "array",
)


def section(subject: Subject) -> Section | None:
    """Commands, and what the run was made of."""
    run = subject.run
    body = join(
        element("p", "The same image, code, arguments and resources:"),
        _command(replay_command(run)),
        element("p", "The same arguments and resources with the code of today:"),
        _command(submit_command(run)),
        facts(
            [
                ("image", run.sif),
                ("SHA-256", run.sif_sha256),
                ("commit", run.commit and f"{run.commit}{' and changes, in code.diff' if run.dirty else ''}"),
                ("code", run.code),
                ("continues", run.parent),
                ("on the cluster", f"{run.site}:{run.run_dir}"),
            ]
        ),
    )
    return Section(key="again", title="Run it again", body=body)


def submit_command(run: Run) -> str:
    """The task that submits a run of the same profile, site, resources and arguments."""
    words = ["invoke", "job", "--profile", run.profile, "--site", run.site]
    for key in _OPTIONS:
        value = run.resources.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            words += [f"--{key}", str(value)]
    if run.resources.get("exclusive"):
        words.append("--exclusive")
    return shell_line([*words, "--", *run.args])


def _command(line: str) -> Html:
    return element(
        "div",
        element("pre", element("code", line), tabindex=0, aria_label="command"),
        element("button", "Copy", type="button", class_="copy needs-script"),
        class_="command",
    )
