"""Options of sbatch that users give themselves, and those that are Slipway's own."""

from __future__ import annotations

import re

_FORM = re.compile(r"--([a-z][a-z-]*)(=(.*))?", re.S)
# What the job's contract stands on (`man sbatch`): why it cannot be another.
_OWN = {
    "job-name": "a job's name is its run's id, by which it is found again",
    "output": "a run's log is in its own folder; `invoke logs` shows it",
    "error": "a run's log is in its own folder; `invoke logs` shows it",
    "input": "a program's input is what is staged, and its arguments",
    "open-mode": "the log of a requeued job is appended to",
    "signal": "the site's grace_s says when the program is warned",
    "requeue": "every job may be requeued, each time into a folder of its own",
    "no-requeue": "every job may be requeued, each time into a folder of its own",
    "chdir": "the program starts in /code",
    "export": "the container gets a clean environment; ENV_<NAME>=… in the profile adds to it",
    "export-file": "the container gets a clean environment; ENV_<NAME>=… in the profile adds to it",
    "get-user-env": "the container gets a clean environment; ENV_<NAME>=… in the profile adds to it",
    "wrap": "the script is Slipway's; PROGRAM=… in the profile says what it runs",
    "parsable": "Slipway reads the job's id itself",
    "quiet": "Slipway reads the job's id itself",
    "test-only": "--dry-run shows the script and submits nothing",
    "wait": "--wait of `invoke job` does it",
    "clusters": "a site is one cluster",
    "ntasks": "the program starts once on each node: --nodes says how often",
    "ntasks-per-node": "the program starts once on each node: --nodes says how often",
    "help": "`man sbatch` on the cluster explains its options",
    "usage": "`man sbatch` on the cluster explains its options",
    "version": "`invoke job` submits jobs",
}
# What has an option of its own, of `invoke job` and in profiles and sites.
_NAMED = {
    "time": "--time",
    "cpus-per-task": "--cpus",
    "mem": "--mem",
    "nodes": "--nodes",
    "exclusive": "--exclusive",
    "partition": "--partition",
    "account": "--account",
    "qos": "--qos",
    "constraint": "--constraint",
    "array": "--array",
    "dependency": "--dependency",
    "gpus": "--gpus",
    "gpus-per-node": "--gpus",
    "gpus-per-task": "--gpus",
    "gpus-per-socket": "--gpus",
}


def check_option(word: str) -> str:
    """The same word, where it is one option of sbatch that Slipway has no say in.

    Raises:
        ValueError: it is no ``--name`` or ``--name=value``, or it contradicts what Slipway writes itself.
    """
    match = _FORM.fullmatch(word)
    if match is None:
        raise ValueError("write one long option of sbatch, such as --comment=mine or --hold")
    if any(ord(letter) < 32 for letter in word):
        raise ValueError("an option is one line, without control characters")
    name = match[1]
    # sbatch takes the beginning of an option's name for the whole.
    for own, why in _OWN.items():
        if own.startswith(name):
            raise ValueError(f"that is Slipway's own --{own}: {why}")
    for own, ours in _NAMED.items():
        if own.startswith(name):
            raise ValueError(f"that is sbatch's --{own}, for which there is {ours}")
    return word


def quote_option(word: str) -> str:
    """An option as a line of ``#SBATCH`` takes it."""
    if re.fullmatch(r"[\w.,:=@%/+&|*()\[\]-]+", word):
        return word
    return "".join(f"\\{letter}" if letter in "\\'\" \t#" else letter for letter in word)
