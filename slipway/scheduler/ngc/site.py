"""What the file of a site at NVIDIA's Base Command Platform says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from slipway.checked import Check, form
from slipway.model import Model, read_json
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import DEFAULTS, Container, Site

# Each becomes a word of a command line, or a part of one between colons.
_WORD = form(r"[A-Za-z0-9_][\w.-]{0,127}", "letters, digits and . _ -, no - first")
_NAME = Annotated[str, _WORD]
_FOLDER = Annotated[
    str,
    form(r"(/[A-Za-z0-9_][\w.-]*)+", "an absolute path of letters, digits and . _ -, such as /mnt/slipway"),
]
# What the job script makes in the container, and so nothing else may be mounted at.
_OWN = ("/code", "/data", "/weights", "/out", "/previous", "/cache", "/element", "/tmp")  # noqa: S108 - a name


def _check_place(value: str) -> None:
    if any(value == own or value.startswith(f"{own}/") for own in _OWN):
        raise ValueError(f"jobs have something else in {', '.join(_OWN)}; write another folder")


def _check_datasets(value: Mapping[str, str]) -> None:
    for name in value:
        _WORD.check(name)


def _check_container(value: Container) -> None:
    if value.command != "inside" or value.flags or value.binds:
        raise ValueError("the platform starts the image itself; leave container out")


@dataclass(frozen=True, kw_only=True)
class Platform(Model):
    """Where at the platform.

    Attributes:
        org: the organization.
        ace: the accelerated computing environment, whose instances run the jobs.
        team: the team; ``None`` where the organization has none.
        workspace: name or id of the workspace that holds code, data and runs.
        registry: what comes before the names of images: ``nvcr.io/ORG/TEAM``.
        mount: where jobs have the workspace.
        result: where jobs have their result folder.
        datasets: ids of the platform's own datasets, by the names that they have below ``/data``.
        preempt: what the platform may do with a job that it needs the instance of.
        rclone: a remote of rclone's configuration that is the workspace; files go by rclone then, and not by
            ``ngc``.
    """

    org: _NAME
    ace: _NAME
    team: Annotated[str | None, _WORD] = None
    workspace: _NAME
    registry: Annotated[
        str | None,
        form(
            r"[a-z0-9][a-z0-9.:-]*(/[a-z0-9][a-z0-9._-]*)+",
            "HOST/ORG or HOST/ORG/TEAM, such as nvcr.io/org/team",
        ),
    ] = None
    mount: Annotated[_FOLDER, Check(_check_place)] = "/mnt/slipway"
    result: Annotated[_FOLDER, Check(_check_place)] = "/result"
    datasets: Annotated[Mapping[str, _NAME], Check(_check_datasets)] = field(default_factory=dict)
    preempt: Literal["RUNONCE", "RESUMABLE", "RESTARTABLE"] = "RUNONCE"
    rclone: Annotated[
        str | None, form(r"[\w.+@][\w.+@-]*:[\w./+@-]*", "REMOTE: or REMOTE:PATH, without spaces")
    ] = None

    @property
    def images(self) -> str:
        """What comes before the names of images."""
        return self.registry or "/".join(filter(None, ("nvcr.io", self.org, self.team)))

    @property
    def where(self) -> list[str]:
        """The options by which each command is told where."""
        named = {"org": self.org, "team": self.team, "ace": self.ace}
        return [f"--{key}={value}" for key, value in named.items() if value is not None]


@dataclass(frozen=True, kw_only=True)
class NgcSite(Site):
    """A site at the platform; its login is this machine, and its scratch a folder here."""

    scheduler: Literal["ngc"] = "ngc"
    defaults: Annotated[SlurmResources, DEFAULTS] = SlurmResources()
    container: Annotated[Container, Check(_check_container)] = Container(command="inside")
    # The platform sends none.
    mail: bool = False
    ngc: Platform

    @property
    def jobs_are_joined(self) -> bool:
        """See :class:`slipway.site.Site`."""
        return False

    @property
    def image_registry(self) -> str | None:
        """See :class:`slipway.site.Site`."""
        return self.ngc.images

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.login.is_this_machine:
            raise ValueError(
                "login.host has to be this-machine: the platform has no login node, and ngc runs here"
            )
        if self.paths.node_local is not None:
            raise ValueError("paths.node_local: a job's own disk is in its container; leave it out")


def read_platform(site_values: Mapping[str, Any]) -> Platform:
    """What a run's record has of its site.

    Raises:
        KeyError: it has none.
        WrongValueError: it has another kind of one.
    """
    return read_json(Platform, json.dumps(site_values["ngc"]))
