"""Sites: how a cluster is reached, where its scratch is, what its jobs are given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from string import Template
from typing import Annotated, Literal

from slipway.checked import Between, Check, Count, Positive, form
from slipway.dask.options import DaskOptions
from slipway.errors import ConfigError
from slipway.model import ASIDE, Model
from slipway.monitor.rule import Rules
from slipway.resources import Memory, Resources, Time

# `login.ssh_config` may begin with it: what `box.up` writes is in Slipway's state folder.
BOX_FOLDER = "box/"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


# In the place of a host's name: the machine that Slipway runs on, which is reached without SSH.
THIS_MACHINE = "this-machine"

# What neither a line of #SBATCH nor a mount of a container can take.
_UNFIT = re.compile(r"[\s:,%\"'\\]")
_FIT = "write an absolute path without spaces, quotes, backslashes and : , %"
# The job script has it between double quotes, so that the node fills in its variables.
_ON_NODE = re.compile(r"[/$][\w/.@+$-]*|[/$][\w/.@+-]*(\$\{\w+\}[\w/.@+-]*)*")


@dataclass(frozen=True, kw_only=True)
class Login(Model):
    """How the login node is reached."""

    host: str
    user: str | None = None
    port: Annotated[int, Between(1, 65535)] | None = None
    ssh_config: str | None = None
    transfer: Literal["auto", "rsync", "sftp"] = "auto"
    # What to do first where the host is only reached through a VPN.
    vpn: str | None = None
    # For how long a login that is left behind is kept while nobody uses it.
    keep: Annotated[str, form(r"[0-9]{1,6}[smhd]", "a number with s, m, h or d behind it, such as 8h")] = "8h"
    # Whether each command that logs in leaves the login behind, and not only `invoke login`.
    share: bool = False
    # How the site's other hosts reach it, where that is not as it is reached from here.
    address: Annotated[str | None, form(r"[A-Za-z0-9_][\w.-]*(:\d{1,5})?", "HOST or HOST:PORT")] = None

    @property
    def is_this_machine(self) -> bool:
        """True where there is nothing to log in to."""
        return self.host == THIS_MACHINE

    @property
    def keep_s(self) -> float:
        """``keep`` in seconds."""
        return float(self.keep[:-1]) * _SECONDS[self.keep[-1]]


def _check_folder(value: str) -> None:
    if not value.startswith(("/", "$")):
        raise ValueError("write an absolute path, or one that starts with a variable such as $SCRATCH")
    if _UNFIT.search(value):
        raise ValueError(_FIT)


def _check_node_local(value: str) -> None:
    if not _ON_NODE.fullmatch(value):
        raise ValueError("write an absolute path without spaces, or one that starts with a variable")


_Folder = Annotated[str, Check(_check_folder)]


@dataclass(frozen=True, kw_only=True)
class Paths(Model):
    """Folders on the cluster, as written: ``$NAMES`` in them are resolved there."""

    scratch: _Folder
    home: _Folder = "$HOME"
    node_local: Annotated[str, Check(_check_node_local)] | None = None


@dataclass(frozen=True, kw_only=True)
class Container(Model):
    """What starts containers on the nodes."""

    command: Literal["apptainer", "singularity", "docker", "podman", "enroot", "pyxis", "inside"] = (
        "apptainer"
    )
    flags: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    pull: Literal["login", "job"] = "login"
    compression: Literal["zstd", "gzip"] = "zstd"


@dataclass(frozen=True, kw_only=True)
class Queue(Model):
    """What one partition offers: at most so much to one job, and so much of each on its largest node.

    ``max_gpus`` has how many GPUs of each type a node has; an empty one says that there are none. ``cost`` is
    what one of ``per`` costs, in the site's currency. ``auto`` is whether `job --partition auto` may take it.
    """

    max_time: Time = None
    max_nodes: Positive | None = None
    max_cpus: Positive | None = None
    max_mem: Memory = None
    max_gpus: Mapping[str, Positive] | None = None
    cost: Annotated[float, Between(0, 1e9)] | None = None
    per: Literal["node-hour", "gpu-hour", "cpu-hour"] = "node-hour"
    auto: bool = True
    note: str | None = None


def _check_container(value: Container) -> None:
    if value.command == "inside":
        raise ValueError("a scheduler that starts images itself has this; write another command")


def _check_defaults(value: Resources) -> None:
    if value.array is not None or value.dependency is not None:
        raise ValueError("array and dependency are one job's own: give them to `invoke job`")


# What a site's own kind of resources is checked by, too.
DEFAULTS = Check(_check_defaults)


@dataclass(frozen=True, kw_only=True)
class Site(Model):
    """One cluster; every key is explained in ``cluster/example.yaml``.

    Each scheduler has a kind of site, which derives from this and may have more keys.
    """

    name: str
    login: Login
    hosts: tuple[Login, ...] = ()
    scheduler: str
    paths: Paths
    modules: tuple[str, ...] = ()
    before: str = ""
    defaults: Annotated[Resources, DEFAULTS] = Resources()
    grace_s: Count = 120
    scratch_purge_days: Positive | None = None
    output: Literal["scratch", "node-local"] = "scratch"
    output_interval_s: Positive = 300
    usage_sample_s: Count = 30
    container: Annotated[Container, Check(_check_container)] = Container()
    queues: Mapping[str, Queue] = field(default_factory=dict)
    # What `invoke monitor` does about runs that fail.
    monitor: Rules = Rules()
    # What `invoke dask.up` starts.
    dask: DaskOptions = DaskOptions()
    currency: Annotated[str | None, form(r"[^\W\d_]{1,12}|[€$£¥]", "a short word, such as EUR")] = None
    # Whether its scheduler can send mail.
    mail: bool = True
    # Where its file is, if that is not the repository's own but came with Slipway.
    _packed: Path | None = field(default=None, init=False, repr=False, metadata=ASIDE)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ValueError: something does.
        """
        if self.output == "node-local" and self.paths.node_local is None:
            raise ValueError("output: paths.node_local has to say where the nodes' own disk is")
        if self.container.command == "pyxis" and self.scheduler != "slurm":
            raise ValueError(
                "container: pyxis is a plugin of SLURM; write enroot where there is another scheduler"
            )

    def from_package(self, file: Path) -> Site:
        """The same site, known to be from a file that comes with Slipway."""
        same = self.model_copy()
        same.__dict__["_packed"] = file
        return same

    @property
    def file(self) -> str:
        """The site's file, for words."""
        whose = "" if self._packed is None else "Slipway's own "
        return f"{whose}cluster/{self.name}.yaml"

    @property
    def file_to_change(self) -> str:
        """The site's file, for words on what is to be changed in it; with how it becomes the repository's."""
        own = f"cluster/{self.name}.yaml"
        if self._packed is None:
            return own
        copy = f"mkdir -p cluster && cp {shlex.quote(str(self._packed))} {own}"
        return f"{own} (Slipway's own becomes yours by `{copy}`)"

    @property
    def runs_where_it_logs_in(self) -> bool:
        """True where jobs run on the very host that is logged in to."""
        return False

    @property
    def jobs_are_joined(self) -> bool:
        """False where no shell can join a job and be what its end waits for."""
        return True

    @property
    def image_registry(self) -> str | None:
        """What comes before the names of images, where the scheduler itself fetches them from a registry."""
        return None

    @property
    def asks_for_gpus(self) -> bool:
        """False where a partition gives its GPUs to a job that does not ask for them."""
        return True


Lookup = Callable[[Sequence[str]], Mapping[str, str]]


def variables(written: str) -> list[str]:
    """The names of the variables in a path, each once."""
    return sorted({a or b for a, b in _VARIABLE.findall(written)})


def resolve_path(written: str, lookup: Lookup) -> PurePosixPath:
    """Fill in the variables of a path.

    Args:
        written: the path as the site's file has it.
        lookup: asks the cluster for the values of variables; a variable that is not set there is absent.

    Raises:
        ConfigError: a variable is not set on the cluster, or what comes out cannot be used.
    """
    names = variables(written)
    try:
        path = Template(written).substitute(lookup(names) if names else {})
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"{written!r}, but {error} is not set in a login shell on the cluster; write the path itself"
        ) from error
    if not path.startswith("/") or _UNFIT.search(path):
        raise ConfigError(f"{written!r}, which there is {path!r}; {_FIT}")
    return PurePosixPath(path)
