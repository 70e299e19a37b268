"""Reading sites: ``cluster/<site>.yaml``. Its ``scheduler`` decides which keys there are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from slipway.errors import ConfigError, UsageError
from slipway.scheduler.choose import SITES
from slipway.site import Container, Login, Paths, Queue, Site
from slipway.text.nearest import nearest
from slipway.validation import explain


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
    kind = _kind(file, content)
    try:
        return kind.model_validate_json(_as_json({**content, "name": name}))
    except ValidationError as error:
        raise ConfigError(f"{file}: {_problem(kind, error.errors()[0])}") from error


def list_sites(folder: Path) -> list[str]:
    """The names of the sites in a folder, in alphabetical order."""
    return sorted(file.stem for file in folder.glob("*.yaml") if file.is_file())


def _kind(file: Path, content: Mapping[str, Any]) -> type[Site]:
    name = content.get("scheduler", "slurm")
    if name not in SITES:
        known = " or ".join(repr(one) for one in SITES)
        raise ConfigError(f"{file}: scheduler: write {known}; it is {name!r}")
    return SITES[name]


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


def _problem(kind: type[Site], error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = _keys(kind, error["loc"][:-1])
        return (
            f"{key} is not a key here{nearest(str(error['loc'][-1]), known)}; there are: {', '.join(known)}"
        )
    if error["type"] == "missing":
        return f"{key} is missing; cluster/example.yaml explains it"
    return f"{key}: {explain(error)}; it is {error['input']!r}"


def _keys(kind: type[Site], location: Sequence[Any]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {
        "login": Login,
        "paths": Paths,
        "container": Container,
        "defaults": type(kind.model_fields["defaults"].default),
        "queues": Queue,
    }
    model = parts[str(location[0])] if location else kind
    return sorted(key for key in model.model_fields if key != "name")
