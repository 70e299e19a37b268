"""Scratch as the node sees it, and the node's own disk."""

from __future__ import annotations

import re

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, skipped, warning

_ROW = re.compile(r"\s([0-9]{1,18})\s+([0-9]{1,18})\s+([0-9]{1,18})\s+[0-9]{1,18}%\s")
_ASK_SCRATCH = """
echo "scratch $scratch_here"
echo "token $(cat "$here/token")"
touch "$here/written" && echo "written yes"
"""
_EMPTY, _MISSING, _UNWRITABLE = 3, 4, 5


def _look_at_scratch(facts: Facts, answer: Answer) -> Finding:
    there = facts.answer("scratch").value("scratch")
    so = "a job would not find its code, or lose what it writes"
    if answer.value("token") is None or answer.value("written") is None:
        fix = f"paths.scratch in {facts.file} has to be a folder that login node and nodes share"
        return failed(
            f"the node does not see it as the login node does: {answer.words[:200]}", so=so, fix=fix
        )
    here = answer.value("scratch")
    if there is not None and here != there:
        seen = f"{facts.there.paths.scratch} is {here or 'empty'} on the node, and {there} on the login node"
        # The job's paths are filled in on the login node.
        return warning(
            seen,
            so="programs that go by the variable look elsewhere than Slipway",
            fix=f"write the path itself as paths.scratch in {facts.file}",
        )
    return ok("the same as on the login node")


def _ask_local(facts: Facts) -> str:
    path = facts.there.paths.node_local
    if path is None:
        return "true"
    # Written in the site's file as the job script has it, too.
    return f"""
folder="{path}"
echo "folder $folder"
[ -n "$folder" ] || exit 3
[ -d "$folder" ] || exit 4
file=$(mktemp "$folder/.slipway-doctor.XXXXXX") || exit 5
rm -f -- "$file"
df -Pk -- "$folder"
"""


def _look_at_local(facts: Facts, answer: Answer) -> Finding:
    if facts.there.paths.node_local is None:
        return skipped(f"{facts.there.file} names none (paths.node_local)")
    folder, key = answer.value("folder") or facts.there.paths.node_local, f"paths.node_local in {facts.file}"
    needs_it = facts.there.output == "node-local"
    so = "a job could not write its results" if needs_it else "each job reads the image from scratch, slower"
    tell = failed if needs_it else warning
    if answer.exit_code in (_EMPTY, _MISSING):
        return tell(f"{folder or 'it'} is not there on the node", so=so, fix=f"correct {key}")
    if answer.exit_code == _UNWRITABLE:
        return tell(f"{folder} cannot be written to: {answer.words[-150:]}", so=so, fix=f"correct {key}")
    free_bytes = int(_ROW.findall(answer.text)[-1][2]) * 1024
    needed = facts.sif.size_bytes if facts.sif else 0
    seen = f"{free_bytes / 1e9:,.1f} GB free in {folder}"
    if free_bytes < needed:
        seen += f", and the image takes {needed / 1e9:,.1f} GB"
        return tell(seen, so=so, fix="ask for a node with a larger disk, or leave paths.node_local out")
    return ok(seen)


CHECKS = (
    Check(
        name="node-scratch",
        title="scratch there",
        place=Place.NODE,
        about="The node sees what the login node has made, under the same name, and can write there.",
        predicts="A job does not find its code, or loses its results.",
        look=_look_at_scratch,
        ask=lambda _: _ASK_SCRATCH,
    ),
    Check(
        name="node-local",
        title="own disk",
        place=Place.NODE,
        about="`paths.node_local` is there, can be written to, and has room for the image.",
        predicts="Jobs read the image from scratch; with `output: node-local` they lose their results.",
        look=_look_at_local,
        ask=_ask_local,
    ),
)
