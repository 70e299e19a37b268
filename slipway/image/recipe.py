"""Recipes: what an image is built from, and the hash that says whether it has changed."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.build_secret import BuildSecret
from slipway.errors import ConfigError, ImageError
from slipway.image.copied import copied_files
from slipway.image.dockerfile import declared_args, plain_text
from slipway.image.label import content_labels
from slipway.image.source import Source, find_sources
from slipway.tilde import expand

if TYPE_CHECKING:
    from slipway.profile import Profile

# Where the Dockerfiles find the certificates that the build trusts. No final stage copies it.
_STATE = ".slipway"
CA_BUNDLE = f"{_STATE}/ca-bundle.crt"
# The lock file, as Dockerfile.base has it.
REQUIREMENTS = "requirements-base.txt"
# What takes the place of a registry and of GitHub, for an image that is compiled.
_OFFLINE = (
    "`invoke build --profile devel` makes an image with nvcc from Debian packages, for BASE_IMAGE="
    "slipway-cuda-devel and RUNTIME_IMAGE=debian:trixie-slim. Where GitHub cannot be reached either, "
    "DROID_SLAM_SOURCE and LIETORCH_SOURCE name folders with checkouts"
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A Dockerfile, the folder it lies in (its context) and what it is given.

    ``labels`` are part of what the image is known by, ``remarks`` are labels that are not.
    ``hint`` is what to do where an image that it starts from cannot be had. ``copies_all`` is for images that
    are made of all files of the context, whatever the Dockerfile says.
    """

    name: str
    dockerfile: Path
    platform: str
    build_args: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: Path | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    # Images whose layers the builder may take; they do not change what comes out.
    cache_from: tuple[str, ...] = ()
    remarks: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    hint: str = ""
    copies_all: bool = False
    # What the build may read; it is not in the image, and no part of what the image is known by.
    secrets: tuple[BuildSecret, ...] = ()
    # Whether others may take its steps from a registry.
    keeps_cache: bool = False

    @property
    def context(self) -> Path:
        """The folder whose files the Dockerfile may copy."""
        return self.dockerfile.parent

    def text(self) -> str:
        """The Dockerfile's text.

        Raises:
            ConfigError: there is no such file.
        """
        try:
            return plain_text(self.dockerfile.read_bytes())
        except OSError as error:
            raise ConfigError(f"{self.dockerfile}: there is no such Dockerfile for {self.name}") from error


def profile_recipe(profile: Profile) -> Recipe:
    """The recipe of a profile's image.

    Raises:
        ConfigError: the profile's Dockerfile does not exist, or a source's folder is not what it should be.
    """
    recipe = Recipe(
        name=profile.image,
        dockerfile=profile.recipe_file,
        platform=profile.platform,
        build_args=profile.build_args,
        ca_bundle=profile.ca_bundle,
        labels={"slipway.profile": profile.name},
        secrets=profile.build_secrets,
    )
    if not recipe.dockerfile.is_file():
        raise ConfigError(
            f"profile {profile.name}: its DOCKERFILE is {recipe.dockerfile}, which does not exist; "
            f"write it, or choose another profile"
        )
    sources = find_sources(recipe.text(), profile.sources)
    if not sources:
        return recipe
    lock = recipe.context / (profile.requirements or REQUIREMENTS)
    labels = {**recipe.labels, **content_labels(sources, profile.build_args, lock)}
    return replace(recipe, sources=sources, labels=labels, hint=_OFFLINE)


def context_files(recipe: Recipe) -> list[str]:
    """The files of the context that the Dockerfile copies, relative, in order.

    They are those that ``.dockerignore`` lets through; see :func:`slipway.image.copied.copied_files`. As for
    ``docker build``, a file ``<name of the Dockerfile>.dockerignore`` takes the place of that.
    """
    from docker.utils.build import exclude_paths

    own, ignore = (recipe.context / f"{name}.dockerignore" for name in (recipe.dockerfile.name, ""))
    ignore = own if own.is_file() else ignore
    patterns = ignore.read_bytes().decode("utf-8-sig", errors="surrogateescape") if ignore.is_file() else ""
    lines = [line.strip() for line in patterns.splitlines()]
    rules = [line for line in lines if line and not line.startswith("#")]
    # Slipway's own state, where the context is a whole project. A rule of the user's cannot bring it back.
    rules += [_STATE, f"**/{_STATE}"]
    names = sorted(exclude_paths(str(recipe.context), rules, dockerfile=recipe.dockerfile.name))
    if recipe.copies_all:
        return names
    text, kept = recipe.text(), {recipe.dockerfile.name, ignore.name}
    given = declared_args(text, recipe.build_args)
    copied = set(copied_files(text, names, given, lambda name: (recipe.context / name).is_symlink()))
    return [name for name in names if name in copied or name in kept]


def inputs_hash(recipe: Recipe, base_ids: Mapping[str, str]) -> str:
    """SHA-256 over everything that goes into the image: Dockerfile, context, arguments, platform, bases.

    Other Dockerfiles of the same folder are left out, and so are certificates: neither is in the image.
    """
    text = recipe.text()
    files = [
        _fingerprint(recipe.context, name)
        for name in context_files(recipe)
        if not Path(name).name.startswith(("Dockerfile", ".dockerignore"))
    ]
    content: dict[str, object] = {
        "dockerfile": text,
        "args": declared_args(text, recipe.build_args),
        "platform": recipe.platform,
        "bases": dict(base_ids),
        "files": [file for file in files if file],
        "profile": dict(recipe.labels),
    }
    if recipe.sources:  # images without any keep the hash that they had
        content["sources"] = [[one.place, _fingerprints(one)] for one in recipe.sources]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def find_ca_bundle(recipe: Recipe, environment: Callable[[str], str | None]) -> bytes:
    """The certificates that the build is to trust: the profile's, this machine's, or certifi's.

    Raises:
        ConfigError: a file that the profile or the environment names cannot be read.
    """
    named = {"CA_BUNDLE": str(recipe.ca_bundle) if recipe.ca_bundle else None} | {
        name: environment(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    }
    for name, file in named.items():
        if file:
            try:
                return expand(file).read_bytes()
            except OSError as error:
                raise ConfigError(f"{name} is {file}, which cannot be read: {error.strerror}") from error
    return _default_ca_bundle().read_bytes()


def _default_ca_bundle() -> Path:
    system = ssl.get_default_verify_paths().cafile
    for file in (system, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if file and Path(file).is_file():
            return Path(file)
    import certifi

    return Path(certifi.where())


def _fingerprints(source: Source) -> list[list[str] | None]:
    return [_fingerprint(source.folder, name) for name in source.files] if source.folder else []


def _fingerprint(folder: Path, name: str) -> list[str] | None:
    path = folder / name
    if path.is_symlink():
        return [name, "link", str(path.readlink())]
    if path.is_dir():
        return None  # a folder counts by its files
    if not path.is_file():
        raise ImageError(
            f"{path} is neither a file nor a folder; leave it out with {folder / '.dockerignore'}"
        )
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ImageError(f"{path} cannot be read for the build: {error.strerror}") from error
    return [name, "x" if path.stat().st_mode & 0o100 else "-", digest]
