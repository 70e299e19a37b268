"""Whether a ``.sif`` is what the Docker image was: that one's configuration beside what Apptainer found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.sif.environment import VARIABLE, is_hard

# Apptainer has values of its own for these, or passes on those of the user.
OWN_VARIABLES = frozenset({"HOME", "LANG", "PROMPT_COMMAND", "PS1", "PWD", "SHELL", "TERM", "USER"})
_OWN_LABELS = "org.label-schema."
# To these it adds folders at the end.
_EXTENDED = ("PATH", "LD_LIBRARY_PATH")
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What is wrong with a ``.sif``, and what its user should know; each a sentence or a list of them."""

    mismatches: tuple[str, ...]
    notes: tuple[str, ...]


def compare(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Findings:
    """Compare.

    Args:
        config: the Docker image's configuration, with the keys of the engine's API, such as ``Env``; or what
            is known of one that is built from a definition file.
        facts: what ``singularity/convert.py`` wrote.
    """
    return Findings(
        mismatches=(
            *_labels(config, facts),
            *_recorded(config, facts),
            *_environment(config, facts),
            *_program(config, facts),
        ),
        notes=tuple(_notes(config, facts)),
    )


def _labels(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["labels"] is None or facts["runscript"] is None:
        yield "`apptainer inspect` cannot read it"
        return
    for name, value in (config.get("Labels") or {}).items():
        there = facts["labels"].get(name)
        if there != value and not name.startswith(_OWN_LABELS):
            yield f"the label {name!r} is {value!r} in the image and {there!r} in the .sif"


def _recorded(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    recorded = facts.get("config")
    if recorded is None:  # an older Apptainer
        return
    for key in ("User", "WorkingDir", "Env", "Entrypoint", "Cmd", "Labels"):
        wanted = config.get(key) or None
        if key == "Env":
            wanted = [pair for pair in wanted or [] if not is_hard(pair)] or None
        # Absent and empty are the same.
        if wanted != (recorded.get(key) or None):
            yield f"{key} is {config.get(key)!r} in the image, and the .sif says {recorded.get(key)!r}"


def _environment(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    if facts.get("environment") is None:
        return
    there = dict(word.partition("=")[::2] for word in facts["environment"])
    lost = []
    for name, value in _variables(config):
        if not VARIABLE.match(name) or name in OWN_VARIABLES:
            continue
        found = there.get(name)
        if name in _EXTENDED and found is not None and found.startswith(f"{value}:"):
            found = value
        if found != value:
            lost.append(f"{name} is {value!r} in the image and {found!r} in the .sif")
    if lost:
        yield "ENV: " + _some(lost, "; ")


def _program(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    for key, fact in (("Entrypoint", "entrypoint"), ("Cmd", "command")):
        # Of a definition file that says nothing of it, it is that of the image that it starts from.
        if fact in facts and key in config and (config[key] or []) != facts[fact]:
            yield f"{key} is {config.get(key)!r} in the image and {facts[fact]!r} in the .sif"


def _notes(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    odd = [name for name, _ in _variables(config) if not VARIABLE.match(name)]
    if odd:
        yield f"Apptainer leaves out ENV {_some(odd)}: no shell can have a variable of that name."
    own = [name for name, _ in _variables(config) if name in OWN_VARIABLES]
    if own:
        yield f"Apptainer sets {_some(own)} itself, so the image's ENV does not count there."
    user = str(config.get("User") or "root")
    if user.partition(":")[0] not in ("root", "0"):
        yield f"The image's USER is {user}; on a cluster its programs run as you."
    if facts["attempt"] == "--fix-perms":
        yield (
            "This user's Apptainer cannot pretend to be root here, so files that their owner may not "
            "read or write "
            "became readable and writable, and setuid bits are gone. "
            + "; ".join(facts.get("remedies") or ())
        )
    closed = facts.get("closed")
    if closed:
        yield (
            f"Only its owner may read {_some(closed)}: a job cannot, where the cluster's Apptainer is "
            "installed with "
            "setuid. `RUN chmod -R go+rX …` in the Dockerfile opens it."
        )
    if facts.get("has_shell") is False:
        yield "The image has no /bin/sh, which each of Slipway's jobs starts with: no job can run in it."
    elif facts.get("environment") is None:
        why = facts.get("why_not_run")
        yield f"No image can be run here, so the environment in the .sif was not looked at: {why}"


def _variables(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = [str(pair).partition("=") for pair in config.get("Env") or []]
    return [(name, value) for name, _, value in pairs]


def _some(words: Sequence[str], joint: str = ", ") -> str:
    more = len(words) - _SHOWN
    return joint.join(words[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
