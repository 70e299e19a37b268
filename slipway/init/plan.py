"""Which files `init` writes into a folder, given what is there. Nothing is written here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slipway.init.answers import BOX, Answers
from slipway.init.detect import Findings
from slipway.init.dockerfile import render_dockerfile
from slipway.init.project_files import (
    DOCKERIGNORE,
    DOCKERIGNORE_TEXT,
    GITIGNORE,
    GITIGNORE_WHY,
    TASKS,
    UNIGNORE,
    added_lines,
    find_setting,
    image_name,
    missing_rules,
    render_local,
    render_profile,
    render_site,
)
from slipway.site_file import NO_SITES

PROFILE = "env/.env.base"
LOCAL = "env/.env.local"


@dataclass(frozen=True, kw_only=True)
class PlannedFile:
    """One file, and what becomes of it.

    Attributes:
        name: relative to the project.
        action: ``write`` a new file, ``append`` to one, ``keep`` it, or ``tell`` its owner what to add.
        content: what is written or appended.
        lines: what is appended, or what its owner may add.
        remark: what there is to say of it.
    """

    name: str
    action: Literal["write", "append", "keep", "tell"]
    content: bytes = b""
    lines: tuple[str, ...] = ()
    remark: str = ""


def plan_files(folder: Path, found: Findings, answers: Answers) -> tuple[PlannedFile, ...]:
    """What becomes of each file, in the order in which they are shown.

    Raises:
        OSError: a file that is there cannot be read.
    """
    planned = [
        _new(folder, PROFILE, render_profile(image_name(folder.name), found.dockerfile or "Dockerfile")),
        _plan_local(folder, answers.site),
    ]
    if answers.site != BOX and (answers.host or (folder / site_file(answers.site)).exists()):
        planned.append(_new(folder, site_file(answers.site), render_site(answers)))
    ignored = _plan_gitignore(folder, found)
    return (
        *planned,
        _plan_dockerfile(folder, found),
        _plan_dockerignore(folder),
        _plan_tasks(folder),
        ignored,
    )


def site_file(site: str) -> str:
    """Where a site's file is, relative to the project."""
    return f"cluster/{site}.yaml"


def read_site(folder: Path) -> str | None:
    """The site that a project names already, for this user or for all, or the only one that it has."""
    there = {file.stem for file in (folder / "cluster").glob("*.yaml")}
    only = [*(there - NO_SITES)]
    named = (_setting(folder, name, "SITE") for name in (LOCAL, PROFILE))
    return next(filter(None, named), only[0] if len(only) == 1 else None)


def _new(folder: Path, name: str, text: str, remark: str = "") -> PlannedFile:
    # A link that leads nowhere is somebody's, too.
    if os.path.lexists(folder / name):
        return PlannedFile(name=name, action="keep")
    return PlannedFile(name=name, action="write", content=text.encode(), remark=remark)


def _plan_local(folder: Path, site: str) -> PlannedFile:
    own, shared = _setting(folder, LOCAL, "SITE"), _setting(folder, PROFILE, "SITE")
    if site == (own if own is not None else shared):
        return PlannedFile(
            name=LOCAL if own is not None else PROFILE, action="keep", remark=f"SITE is {site}"
        )
    if own is not None:
        why = f"in the place of SITE={own}, to make {site} the default"
        return PlannedFile(name=LOCAL, action="tell", lines=(f"SITE={site}",), remark=why)
    if not os.path.lexists(folder / LOCAL):
        return _new(folder, LOCAL, render_local(site))
    return _appended(folder, LOCAL, [f"SITE={site}"])


def _plan_dockerfile(folder: Path, found: Findings) -> PlannedFile:
    if found.dockerfile:
        return PlannedFile(name=found.dockerfile, action="keep")
    source = f"installs {found.files[0]}" if found.files else "Python, and nothing else"
    unused = f"; {', '.join(found.unused)} not used" if found.unused else ""
    return _new(folder, "Dockerfile", render_dockerfile(found), source + unused)


def _plan_dockerignore(folder: Path) -> PlannedFile:
    name = ".dockerignore"
    if not os.path.lexists(folder / name):
        return _new(folder, name, DOCKERIGNORE_TEXT)
    content = (folder / name).read_bytes()
    rules = [line.strip() for line in content.decode("utf-8-sig", errors="replace").splitlines()]
    if "*" in rules or "**" in rules:
        why = (
            "it leaves out all but a few files, and holds for the code that jobs are sent, too; as "
            "Dockerfile.dockerignore it would be for the build alone"
        )
        return PlannedFile(name=name, action="keep", remark=why)
    lines = tuple(missing_rules(content, DOCKERIGNORE))
    return PlannedFile(name=name, action="tell" if lines else "keep", lines=lines)


def _plan_tasks(folder: Path) -> PlannedFile:
    name = "tasks.py"
    if (folder / "tasks" / "__init__.py").exists():
        name = "tasks/__init__.py"
    elif not os.path.lexists(folder / name):
        return _new(folder, name, TASKS)
    if b"slipway_tasks" in (folder / name).read_bytes():
        return PlannedFile(name=name, action="keep")
    lines = (*filter(None, TASKS.splitlines()), "ns.add_task(mine)  # for each task of your own")
    why = "for `invoke`; `slipway` works without"
    return PlannedFile(name=name, action="tell", lines=lines, remark=why)


def _plan_gitignore(folder: Path, found: Findings) -> PlannedFile:
    name = ".gitignore"
    is_new = not os.path.lexists(folder / name)
    content = b"" if is_new else (folder / name).read_bytes()
    missing = missing_rules(content, GITIGNORE)
    # Only once, whatever comes of it: a rule elsewhere may be stronger.
    if found.ignores_profiles and UNIGNORE[-1].encode() not in content:
        missing = [*(rule for rule in missing if rule != LOCAL), *UNIGNORE, LOCAL]
    lines = [GITIGNORE_WHY, *missing] if missing else []
    return (
        _new(folder, name, "".join(f"{line}\n" for line in lines))
        if is_new
        else _appended(folder, name, lines)
    )


def _appended(folder: Path, name: str, lines: list[str]) -> PlannedFile:
    content = added_lines((folder / name).read_bytes(), lines) if lines else b""
    return PlannedFile(name=name, action="append" if lines else "keep", content=content, lines=tuple(lines))


def _setting(folder: Path, name: str, key: str) -> str | None:
    file = folder / name
    return find_setting(file.read_bytes(), key) if file.exists() else None
