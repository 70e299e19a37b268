"""What the file of a site at NVIDIA's Base Command Platform says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Container, Site
from slipway.validation import form

# Each becomes a word of a command line, or a part of one between colons.
_WORD = form(r"[A-Za-z0-9_][\w.-]{0,127}", "letters, digits and . _ -, no - first")
_NAME = Annotated[str, _WORD]
_FOLDER = Annotated[
    str,
    form(r"(/[A-Za-z0-9_][\w.-]*)+", "an absolute path of letters, digits and . _ -, such as /mnt/slipway"),
]
# What the job script makes in the container, and so nothing else may be mounted at.
_OWN = ("/code", "/data", "/weights", "/out", "/previous", "/cache", "/element", "/tmp")  # noqa: S108 - a name


class Platform(BaseModel):
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

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

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
    mount: _FOLDER = "/mnt/slipway"
    result: _FOLDER = "/result"
    datasets: Mapping[str, _NAME] = {}
    preempt: Literal["RUNONCE", "RESUMABLE", "RESTARTABLE"] = "RUNONCE"
    rclone: Annotated[
        str | None, form(r"[\w.+@][\w.+@-]*:[\w./+@-]*", "REMOTE: or REMOTE:PATH, without spaces")
    ] = None

    @field_validator("mount", "result")
    @classmethod
    def _check_place(cls, value: str) -> str:
        if any(value == own or value.startswith(f"{own}/") for own in _OWN):
            raise ValueError(f"jobs have something else in {', '.join(_OWN)}; write another folder")
        return value

    @field_validator("datasets")
    @classmethod
    def _check_datasets(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in value:
            _WORD.func(name)  # type: ignore[call-arg]  # pydantic types it as taking an info, too
        return value

    @property
    def images(self) -> str:
        """What comes before the names of images."""
        return self.registry or "/".join(filter(None, ("nvcr.io", self.org, self.team)))

    @property
    def where(self) -> list[str]:
        """The options by which each command is told where."""
        named = {"org": self.org, "team": self.team, "ace": self.ace}
        return [f"--{key}={value}" for key, value in named.items() if value is not None]


class NgcSite(Site):
    """A site at the platform; its login is this machine, and its scratch a folder here."""

    scheduler: Literal["ngc"] = "ngc"
    defaults: SlurmResources = SlurmResources()
    container: Container = Container(command="inside")
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

    @field_validator("container")
    @classmethod
    def _check_container(cls, value: Container) -> Container:
        if value.command != "inside" or value.flags or value.binds:
            raise ValueError("the platform starts the image itself; leave container out")
        return value

    @model_validator(mode="after")
    def _check_login(self) -> NgcSite:
        if not self.login.is_this_machine:
            raise ValueError(
                "login.host has to be this-machine: the platform has no login node, and ngc runs here"
            )
        if self.paths.node_local is not None:
            raise ValueError("paths.node_local: a job's own disk is in its container; leave it out")
        return self


def read_platform(site_values: Mapping[str, Any]) -> Platform:
    """What a run's record has of its site.

    Raises:
        ValidationError: it has none, or another kind of one.
    """
    return Platform.model_validate(dict(site_values["ngc"]))
