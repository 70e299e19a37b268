"""Profiles: dotenv files that say what is built and what a job asks for."""

from __future__ import annotations

import io
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, TypeVar

from slipway.build_secret import BuildSecret, parse_build_secret
from slipway.builder import Base, parse_base
from slipway.checked import Check, Positive, form
from slipway.errors import ConfigError, UsageError
from slipway.local.setting import Mount, Port, parse_mount, parse_port
from slipway.model import ASIDE, Model, WrongValueError, field_names, read_values
from slipway.notify.target import Target, parse_targets
from slipway.resources import Resources
from slipway.scheduler.choose import FIELDS, read_resources
from slipway.share import share_folder
from slipway.text.nearest import nearest
from slipway.tilde import expand
from slipway.validation import explain

_Value = TypeVar("_Value")
FREE_PREFIXES = ("ENV_", "ARG_")
# Files and folders of this machine.
_PATHS = (
    "DOCKERFILE",
    "DEFINITION",
    "CODE_DIR",
    "CA_BUNDLE",
    "DROID_SLAM_SOURCE",
    "LIETORCH_SOURCE",
    "DATA_DIR",
    "WEIGHTS_DIR",
)
_SCHEMA = ".env.example"
_BASE = "base"
_PERSONAL = "local"
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def _check_image(value: str) -> None:
    if not re.fullmatch(r"[a-z0-9]+([._-][a-z0-9]+)*", value):
        raise ValueError("write it as lower case letters and digits, with single . _ or - between them")


def _check_cache(value: str) -> None:
    if not re.fullmatch(r"[\w-][\w.-]*", value):
        raise ValueError("write a plain name of letters, digits and . _ -")


_Package = Annotated[str | None, form(r"python3(\.\d+)?", "the name of a package, python3 or python3.11")]
_Architectures = Annotated[
    str | None,
    form(r"\d+\.\da?(\+PTX)?([; ]+\d+\.\da?(\+PTX)?)*", "compute capabilities, such as 7.0;8.0;9.0+PTX"),
]
_Ref = Annotated[
    str | None, form(r"[\w./+@-]+", "a commit (all 40 digits), a branch or a tag, without spaces")
]


def _check_limit(value: str) -> None:
    if not re.fullmatch(r"[0-9]{1,15}[KMGTkmgt]?", value):
        raise ValueError("write it as a number with K, M, G or T behind it, such as 200M")


@dataclass(frozen=True, kw_only=True)
class Profile(Model):
    """One profile; every key is explained in ``env/.env.example``.

    Its paths are absolute.
    """

    # A dotenv file has text alone.
    __pydantic_config__: ClassVar[Mapping[str, object]] = {"extra": "forbid"}

    name: str
    # It names files on the cluster too, so it is held to what is plain in both worlds.
    image: Annotated[str, Check(_check_image)]
    # One of the two.
    dockerfile: Path | None = None
    definition: Path | None = None
    builder: Annotated[str, form(r"docker|apptainer", "docker or apptainer")] = "docker"
    bases: tuple[Base, ...] = ()
    platform: str
    base_image: str
    tools_base_image: str
    runtime_image: str | None = None
    debian_mirror: str | None = None
    ca_bundle: Path | None = None
    # What the build may read and the image does not keep.
    build_secrets: tuple[BuildSecret, ...] = ()
    python: _Package = None
    requirements: PurePosixPath | None = None
    torch_cuda_arch_list: _Architectures = None
    max_jobs: Positive | None = None
    droid_slam_repo: str | None = None
    droid_slam_ref: _Ref = None
    droid_slam_source: Path | None = None
    lietorch_repo: str | None = None
    lietorch_ref: _Ref = None
    lietorch_source: Path | None = None
    code_dir: Path
    code_limit: Annotated[str, Check(_check_limit)] | None = None
    # Empty where a job's arguments are the whole command line.
    program: tuple[str, ...]
    site: str | None = None
    resources: Resources
    environment: Mapping[str, str]
    # Whether the container gets the home folder of the cluster.
    mount_home: bool = False
    # The name of a folder of caches that outlives the job.
    cache: Annotated[str, Check(_check_cache)] | None = None
    # The container on this machine.
    data_dir: Path | None = None
    weights_dir: Path | None = None
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    x11: bool = False
    build_args: Mapping[str, str]
    # Who is told of a run's end. Addresses in it may be secrets, so no record has it.
    notify: tuple[Target, ...] = ()
    # Where each key that is set was written, for messages; no part of what a profile is.
    origins: Mapping[str, str] = field(default_factory=dict, metadata=ASIDE)

    @property
    def recipe_file(self) -> Path:
        """The file that says what is in the image: a Dockerfile or a definition file."""
        file = self.definition or self.dockerfile
        assert file is not None  # noqa: S101 - a profile has one of the two
        return file

    @property
    def is_built_by_apptainer(self) -> bool:
        """Whether the image is a ``.sif`` from the beginning, and in no Docker engine."""
        return self.definition is not None or self.builder == "apptainer"

    @property
    def sources(self) -> dict[str, Path | None]:
        """The local folders of what is compiled, by the names in :mod:`slipway.image.source`."""
        return {"droid-slam": self.droid_slam_source, "lietorch": self.lietorch_source}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value, where it was written, and the folder that a relative path in it starts from."""

    value: str
    origin: str
    folder: Path


def load_profile(
    folder: Path, name: str, overrides: Iterable[str] = (), *, share: Path | None = None
) -> Profile:
    """Read a profile.

    Args:
        folder: the project's folder of dotenv files, ``env/``.
        name: the profile's name, such as ``cpu`` for ``.env.cpu``.
        overrides: ``KEY=VALUE`` words from the command line. Paths in them start from the current folder.
        share: the folder of the manual and of profiles that come with Slipway. Default: Slipway's own.

    Raises:
        ConfigError: a file is missing or broken, a key unknown or missing, or a value of the wrong kind.
        UsageError: there is no such profile, or an override is not ``KEY=VALUE``.
    """
    share = share or share_folder() / "env"
    # What is not set is the project's, also where the manual is not.
    schema = read_settings(share / _SCHEMA, folder.parent)
    settings = dict(schema)
    for file in _files(folder, name, share):
        settings.update(_known(read_settings(file), schema))
    settings.update(_known(parse_overrides(overrides), schema))
    return _profile(name, settings)


def list_profiles(folder: Path, share: Path | None = None) -> list[str]:
    """The names of all profiles of a project, in alphabetical order: its own, and those of Slipway.

    Args:
        folder: the project's ``env/``.
        share: as in :func:`load_profile`.
    """
    return sorted({*_own_profiles(folder), *_shared_profiles(share or share_folder() / "env")})


def _own_profiles(folder: Path) -> list[str]:
    names = (file.name.removeprefix(".env.") for file in folder.glob(".env.*"))
    return [name for name in names if f".env.{name}" != _SCHEMA and name != _PERSONAL]


def _shared_profiles(share: Path) -> list[str]:
    # Each project has a base of its own.
    return [name for name in _own_profiles(share) if name != _BASE]


def read_settings(file: Path, folder: Path | None = None) -> dict[str, Setting]:
    """Read one dotenv file, and remember the line of each key.

    Args:
        file: the file.
        folder: what relative paths in it start from. Default: the project that it is in.

    Raises:
        ConfigError: the file cannot be read, or a line is not ``KEY=VALUE``.
    """
    from dotenv.parser import parse_stream

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    settings: dict[str, Setting] = {}
    for binding in parse_stream(io.StringIO(text)):
        # A binding starts with the blank lines above it.
        lead = binding.original.string
        line = binding.original.line + lead[: len(lead) - len(lead.lstrip())].count("\n")
        where = f"{file}:{line}"
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError(f"{where}: {lead.strip()!r:.200} is not KEY=VALUE; put # before a comment")
        if binding.key is not None and binding.value is not None:
            if binding.key in settings:
                raise ConfigError(f"{where}: {binding.key} is set twice in this file; remove one of the two")
            settings[binding.key] = Setting(
                value=binding.value, origin=where, folder=folder or file.absolute().parent.parent
            )
    return settings


def parse_overrides(words: Iterable[str]) -> dict[str, Setting]:
    """Read ``KEY=VALUE`` words.

    Raises:
        UsageError: a word has no ``=`` or no valid key before it.
    """
    settings = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not _KEY.match(key):
            raise UsageError(f"--set {word!r:.200}: write it as KEY=VALUE, for example --set TIME=0:30:00")
        settings[key] = Setting(value=value, origin=f"--set {key}", folder=Path.cwd())
    return settings


def _files(folder: Path, name: str, share: Path) -> list[Path]:
    if name in _own_profiles(folder):
        place = folder
    elif name in _shared_profiles(share):
        place = share
    else:
        known = list_profiles(folder, share)
        raise UsageError(
            f"there is no profile {name!r} in {folder}{nearest(name, known)}; profiles: {', '.join(known)}"
        )
    files = [place / f".env.{one}" for one in dict.fromkeys((_BASE, name))]
    local = folder / f".env.{_PERSONAL}"
    return [*files, local] if local.is_file() else files


def _known(settings: dict[str, Setting], schema: Mapping[str, Setting]) -> dict[str, Setting]:
    for key, setting in settings.items():
        prefix = next((one for one in FREE_PREFIXES if key.startswith(one)), None)
        if prefix and not _KEY.match(key.removeprefix(prefix)):
            raise ConfigError(f"{setting.origin}: {key:.200}: what follows {prefix} is no name of a variable")
        if key not in schema and not prefix:
            raise ConfigError(
                f"{setting.origin}: {key:.200} is not a key of a profile{nearest(key, schema)}; "
                "env/.env.example lists them all"
            )
    return settings


def _profile(name: str, settings: Mapping[str, Setting]) -> Profile:
    given = {key: setting.value for key, setting in settings.items() if setting.value != ""}
    for key in ("IMAGE", "DOCKERFILE", "CODE_DIR"):
        if key not in given and not (key == "DOCKERFILE" and "DEFINITION" in given):
            raise ConfigError(
                f"{settings[key].origin}: {key} is empty; env/.env.{name} must set it (see env/.env.example)"
            )
    if "DEFINITION" in given and "DOCKERFILE" in given:
        raise ConfigError(
            f"{settings['DEFINITION'].origin}: DEFINITION is set, and so is DOCKERFILE "
            f"({settings['DOCKERFILE'].origin}); an image is built from one of them: write "
            "`DOCKERFILE=`, with nothing behind it, beside DEFINITION"
        )
    given |= {key: _absolute(settings[key]) for key in _PATHS if key in given}
    fields = {key.lower(): value for key, value in given.items() if not key.startswith(FREE_PREFIXES)}
    wanted = {key: fields.pop(key) for key in field_names(FIELDS) if key in fields}
    wanted.pop("sbatch", None)
    wanted.pop("qsub", None)
    program = _words(settings, "PROGRAM")
    notify = _targets(settings)
    try:
        return read_values(
            Profile,
            {
                **fields,
                "name": name,
                "program": program,
                "notify": notify,
                "bases": _parsed(settings, "BASES", parse_base),
                "build_secrets": _parsed(settings, "BUILD_SECRETS", parse_build_secret),
                "mounts": _parsed(settings, "MOUNTS", parse_mount),
                "ports": _parsed(settings, "PORTS", parse_port),
                "resources": read_resources(wanted, _words(settings, "SBATCH")),
                "environment": _prefixed(given, "ENV_"),
                "build_args": _build_args(given),
                "origins": {key: settings[key].origin for key in given},
            },
        )
    except WrongValueError as error:
        problem = error.problem
        key = str(problem["loc"][0]).upper()
        where = f"{settings[key].origin}: {key}={settings[key].value:.200}"
        raise ConfigError(f"{where}: {explain(problem)}") from error


def _absolute(setting: Setting) -> str:
    return os.path.normpath(setting.folder / expand(setting.value))


def record_values(profile: Profile, root: Path) -> dict[str, Any]:
    """A profile's values as a record has them: paths in the project relative to its ``root``."""
    values = profile.model_dump(mode="json", exclude={"build_args", "build_secrets", "notify"})
    for key in map(str.lower, _PATHS):
        path = getattr(profile, key)
        if path is not None and path.is_relative_to(root):
            values[key] = path.relative_to(root).as_posix()
    return values


def _words(settings: Mapping[str, Setting], key: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(settings[key].value))
    except ValueError as error:
        raise ConfigError(f"{settings[key].origin}: {key} has a quote without its end") from error


def _parsed(
    settings: Mapping[str, Setting], key: str, parse: Callable[[str, Path], _Value]
) -> tuple[_Value, ...]:
    try:
        return tuple(parse(word, settings[key].folder) for word in _words(settings, key))
    except ValueError as error:
        raise ConfigError(f"{settings[key].origin}: {key}: {error}") from error


def _targets(settings: Mapping[str, Setting]) -> tuple[Target, ...]:
    try:
        return parse_targets(_words(settings, "NOTIFY"))
    except ValueError as error:
        raise ConfigError(f"{settings['NOTIFY'].origin}: NOTIFY: {error}") from error


def _prefixed(given: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}


def _build_args(given: Mapping[str, str]) -> dict[str, str]:
    named = {key: value for key, value in given.items() if not key.startswith(FREE_PREFIXES)}
    return {**named, **_prefixed(given, "ARG_")}
