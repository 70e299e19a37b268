"""What runs were made of, where they differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slipway.job.run import Run
from slipway.report.run_details import environment_names, wanted_resources
from slipway.text.shell_line import shell_line
from slipway.text.wording import one_line


def differences(runs: Sequence[Run]) -> list[list[str]]:
    """Rows of a name and a value for each run, for all that is not the same in all of them."""
    by_run = [_facts(run) for run in runs]
    names = dict.fromkeys(name for facts in by_run for name in facts)
    rows = [[name, *(one_line(facts.get(name, "—"), 300) for facts in by_run)] for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def _facts(run: Run) -> dict[str, str]:
    return {
        "site": run.site,
        "profile": run.profile,
        "commit": f"{(run.commit or 'none')[:12]}{', with changes' if run.dirty else ''}",
        "code": run.code[:12],
        "image": run.sif.rpartition("/")[2],
        "program": shell_line(run.program),
        **_arguments(run.args),
        **{f"asked for: {name}": value for name, value in wanted_resources(run).items()},
        **{f"${name}": value for name, value in environment_names(run).items()},
        **_profile(run.profile_values),
    }


def _arguments(args: Sequence[str]) -> dict[str, str]:
    """Options with what stands behind them; all else together."""
    found: dict[str, list[str]] = {}
    name = "arguments"
    for word in args:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word.partition("=")
            found.setdefault(name, []).extend([value] if equals else [])
            name = "arguments" if equals else name
        else:
            found.setdefault(name, []).append(word)
    return {name: shell_line(values) or "given" for name, values in found.items()}


def _profile(values: Mapping[str, object]) -> dict[str, str]:
    named = {key: value for key, value in values.items() if key not in ("name", "environment")}
    return {key.upper(): str(value) for key, value in named.items() if isinstance(value, str | int)}
