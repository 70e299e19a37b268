"""Reading sites: ``cluster/<site>.yaml``. Its ``scheduler`` decides which keys there are."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from slipway.dask.cluster_file import read_cluster_file
from slipway.errors import ConfigError, UsageError
from slipway.model import Model, WrongValueError, field_names, read_json
from slipway.monitor.rule import Rule, Rules, Rung
from slipway.scheduler.find import NAMES, find_site_kind
from slipway.site import BOX_FOLDER, Login, Queue, Site
from slipway.text.nearest import nearest
from slipway.tilde import expand
from slipway.validation import explain
from slipway.yaml_file import as_json, read_keys

# The manual of site files, and known datasets.
NO_SITES = frozenset({"example", "datasets"})


def load_site(folders: Sequence[Path], name: str) -> Site:
    """Read a site.

    Args:
        folders: the folders of sites, ``cluster/``; the first that has it counts.
        name: the site's name: its file without ``.yaml``.

    Raises:
        UsageError: there is no such site.
        ConfigError: the file is not YAML, or a key is unknown, missing or of the wrong kind.
    """
    file = next((one for one in _places(folders, name) if one.is_file()), None)
    if file is None or Path(name).name != name or name == "datasets":
        new = f"{folders[0] / name}.yaml, which `invoke site.add {shlex.quote(name)}` writes"
        raise UsageError(
            f"there is no site {name!r}{nearest(name, list_sites(folders))}: "
            f"{_known_words(folders)}; a new one is a file {new}"
        )
    content = read_keys(file, "expected keys such as login and paths; see cluster/example.yaml")
    content = _with_hosts(file, content)
    kind = _kind(file, content)
    try:
        site = read_json(kind, as_json(file, {**content, "name": name}))
    except WrongValueError as error:
        raise ConfigError(f"{file}: {_problem(kind, error.problem)}") from error
    hosts = tuple(_located(one, file.parent) for one in site.hosts)
    found = site.model_copy(update={"login": _located(site.login, file.parent), "hosts": hosts})
    return found if file.parent == folders[0] else found.from_package(file)


def list_sites(folders: Sequence[Path]) -> list[str]:
    """The names of the sites in some folders, in alphabetical order."""
    found = {file.stem for folder in folders for file in folder.glob("*.yaml") if file.is_file()}
    return sorted(found - NO_SITES)


def _known_words(folders: Sequence[Path]) -> str:
    """Which sites there are: the repository's own, and those that come with Slipway."""
    own = list_sites(folders[:1])
    packed = [name for name in list_sites(folders[1:]) if name not in own]
    words = [f"{folders[0]} has {', '.join(own) or 'none'}"]
    return "; ".join([*words, *([f"with Slipway come {', '.join(packed)}"] if packed else [])])


def _places(folders: Sequence[Path], name: str) -> list[Path]:
    return [folder / f"{name}.yaml" for folder in folders]


def _located(login: Login, folder: Path) -> Login:
    """A login whose ``ssh_config`` starts from the site's file, unless it is the box's, which is state."""
    if login.ssh_config is None or login.ssh_config.startswith(BOX_FOLDER):
        return login
    return login.model_copy(update={"ssh_config": str(folder / expand(login.ssh_config))})


def _with_hosts(file: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The same keys where ``hosts`` is the name of a file that lists them, as GTSfM's cluster.yaml does.

    What stands in the site's own file counts more.
    """
    hosts = content.get("hosts")
    if not isinstance(hosts, str):
        return content
    found = read_cluster_file(file.parent / expand(hosts))
    first, *others = found.logins
    own, dask = content.get("login"), content.get("dask")
    own, dask = ({} if one is None else one for one in (own, dask))
    return {
        **content,
        "login": {**first, **own} if isinstance(own, dict) else own,
        "hosts": others,
        "dask": {**found.options, **dask} if isinstance(dask, dict) else dask,
    }


def _kind(file: Path, content: Mapping[str, Any]) -> type[Site]:
    name = content.get("scheduler", "slurm")
    if name not in NAMES:
        known = " or ".join(map(repr, NAMES))
        raise ConfigError(f"{file}: scheduler: write {known}; it is {name!r}")
    return find_site_kind(name)


def _problem(kind: type[Site], error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "unexpected_keyword_argument":
        known = _keys(kind, error["loc"][:-1])
        return (
            f"{key} is not a key here{nearest(str(error['loc'][-1]), known)}; there are: {', '.join(known)}"
        )
    if error["type"] == "missing":
        return f"{key} is missing; cluster/example.yaml explains it"
    if not key:
        return explain(error)
    return f"{key}: {explain(error)}; it is {error['input']!r:.200}"


def _keys(kind: type[Site], location: Sequence[Any]) -> list[str]:
    parts: dict[str, type[Model]] = {"hosts": Login, "queues": Queue}
    model: type[Model] | None = kind
    if location:
        name = str(location[0])
        own = get_type_hints(kind)[name]
        model = parts.get(name) or (own if isinstance(own, type) and issubclass(own, Model) else None)
    if model is Rules and len(location) > 1:
        model = Rung if location[1] == "gpu_ladder" else Rule
    return sorted(key for key in (field_names(model) if model else ()) if key != "name")
