"""Sites: YAML files that say how a cluster is reached, where its scratch is and what it wants to hear."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from string import Template
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from slipway.errors import ConfigError, UsageError
from slipway.nearest import nearest
from slipway.resources import Memory, Resources, Time, explain

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


# What neither a line of #SBATCH nor a mount of a container can take.
_UNFIT = re.compile(r"[\s:,%\"'\\]")
_FIT = "write an absolute path without spaces, quotes, backslashes and : , %"
# The job script has it between double quotes, so that the node fills in its variables.
_ON_NODE = re.compile(r"[/$][\w/.@+$-]*|[/$][\w/.@+-]*(\$\{\w+\}[\w/.@+-]*)*")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Login(_Part):
    """How the login node is reached."""

    host: str
    user: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    ssh_config: str | None = None
    transfer: Literal["auto", "rsync", "sftp"] = "auto"


class Paths(_Part):
    """Folders on the cluster, as written: ``$NAMES`` in them are resolved there."""

    scratch: str
    home: str = "$HOME"
    node_local: str | None = None

    @field_validator("scratch", "home")
    @classmethod
    def _check(cls, value: str) -> str:
        if not value.startswith(("/", "$")):
            raise ValueError("write an absolute path, or one that starts with a variable such as $SCRATCH")
        if _UNFIT.search(value):
            raise ValueError(_FIT)
        return value

    @field_validator("node_local")
    @classmethod
    def _check_node_local(cls, value: str | None) -> str | None:
        if value is not None and not _ON_NODE.fullmatch(value):
            raise ValueError("write an absolute path without spaces, or one that starts with a variable")
        return value


class Container(_Part):
    """What starts containers on the nodes."""

    command: Literal["apptainer", "singularity"] = "apptainer"
    flags: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    pull: Literal["login", "job"] = "login"
    compression: Literal["zstd", "gzip"] = "zstd"


class Queue(_Part):
    """What one partition offers: at most so much to one job, and so much of each on its largest node.

    ``max_gpus`` has how many GPUs of each type a node has; an empty one says that there are none.
    """

    max_time: Time = None
    max_nodes: int | None = Field(default=None, ge=1)
    max_cpus: int | None = Field(default=None, ge=1)
    max_mem: Memory = None
    max_gpus: Mapping[str, Annotated[int, Field(ge=1)]] | None = None
    note: str | None = None


class Site(_Part):
    """One cluster; every key is explained in ``cluster/example.yaml``."""

    name: str
    login: Login
    scheduler: Literal["slurm"] = "slurm"
    paths: Paths
    modules: tuple[str, ...] = ()
    before: str = ""
    defaults: Resources = Resources()
    gpu_request: Literal["gres", "gpus", "none"] = "gres"
    grace_s: int = Field(default=120, ge=0)
    container: Container = Container()
    queues: Mapping[str, Queue] = {}

    @field_validator("defaults")
    @classmethod
    def _check_defaults(cls, value: Resources) -> Resources:
        if value.array is not None or value.dependency is not None:
            raise ValueError("array and dependency are one job's own: give them to `invoke job`")
        return value


def load_site(folder: Path, name: str) -> Site:
    """Read a site.

    Args:
        folder: the folder of sites, ``cluster/``.
        name: the site's name: its file without ``.yaml``.

    Raises:
        UsageError: there is no such site.
        ConfigError: the file is not YAML, or a key is unknown, missing or of the wrong kind.
    """
    file = folder / f"{name}.yaml"
    if not file.is_file() or Path(name).name != name:
        known = list_sites(folder)
        raise UsageError(
            f"there is no site {name!r} in {folder}{nearest(name, known)}; sites: {', '.join(known)}; "
            f"for a new one copy {folder / 'example.yaml'} to {file}"
        )
    content = _read(file)
    try:
        return Site.model_validate_json(_as_json({**content, "name": name}))
    except ValidationError as error:
        raise ConfigError(f"{file}: {_problem(error.errors()[0])}") from error


def list_sites(folder: Path) -> list[str]:
    """The names of the sites in a folder, in alphabetical order."""
    return sorted(file.stem for file in folder.glob("*.yaml") if file.is_file())


Lookup = Callable[[Sequence[str]], Mapping[str, str]]


def resolve_path(written: str, lookup: Lookup) -> PurePosixPath:
    """Fill in the variables of a path.

    Args:
        written: the path as the site's file has it.
        lookup: asks the cluster for the values of variables; a variable that is not set there is absent.

    Raises:
        ConfigError: a variable is not set on the cluster, or what comes out cannot be used.
    """
    names = sorted({a or b for a, b in _VARIABLE.findall(written)})
    try:
        path = Template(written).substitute(lookup(names) if names else {})
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"{written!r}, but {error} is not set in a login shell on the cluster; write the path itself"
        ) from error
    if not path.startswith("/") or _UNFIT.search(path):
        raise ConfigError(f"{written!r}, which there is {path!r}; {_FIT}")
    return PurePosixPath(path)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: this is not YAML: {error.problem}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{file}: expected keys such as login and paths; see {file.parent / 'example.yaml'}"
        )
    return content


def _as_json(content: Mapping[str, Any]) -> str:
    # Strict types as JSON has them: a list is a list and "yes" is no number. YAML's dates become text.
    return json.dumps(content, default=str)


def _problem(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = _keys(error["loc"][:-1])
        return (
            f"{key} is not a key here{nearest(str(error['loc'][-1]), known)}; there are: {', '.join(known)}"
        )
    if error["type"] == "missing":
        return f"{key} is missing; cluster/example.yaml explains it"
    return f"{key}: {explain(error)}; it is {error['input']!r}"


def _keys(location: Sequence[Any]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {
        "login": Login,
        "paths": Paths,
        "container": Container,
        "defaults": Resources,
        "queues": Queue,
    }
    model = parts[str(location[0])] if location else Site
    return sorted(key for key in model.model_fields if key != "name")
