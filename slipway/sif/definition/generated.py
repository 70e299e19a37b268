"""A definition that is made of a profile's Dockerfile."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import slipway
from slipway.builder import Base
from slipway.errors import ImageError
from slipway.hash_cache import HashCache, Hashed, file_key
from slipway.image.context import context_parts
from slipway.image.dockerfile import declared_args
from slipway.image.engine import INPUTS
from slipway.image.recipe import Recipe, inputs_hash
from slipway.sif.definition.base import BaseSource, find_bases
from slipway.sif.definition.context import Context, Entry
from slipway.sif.definition.definition import Definition, Placed, hash_definition
from slipway.sif.definition.render import COPIES, render
from slipway.sif.definition.section import Sections
from slipway.sif.definition.translate import Translation, translate
from slipway.sif.definition.variable import Unknown, Word, known_part, literal
from slipway.sif.kept import sha256

# Only of what goes into an image may be known what it has changed to.
_EXTENDED = ("PATH", "LD_LIBRARY_PATH")


def from_recipe(recipe: Recipe, given_bases: Iterable[Base], mirror: str | None, memory: Path) -> Definition:
    """The definition that says what a recipe's Dockerfile says.

    Args:
        recipe: the Dockerfile, its context and its arguments.
        given_bases: where images come from; see :func:`slipway.sif.definition.base.find_bases`.
        mirror: Debian's.
        memory: the folder of remembered hashes.

    Raises:
        ImageError: the Dockerfile cannot be translated, or a file cannot be read.
        ConfigError: an image's file is not there.
    """
    files, texts = context_parts(recipe, os.environ.get)
    here: dict[str, Path | str] = {name: path for path, name in files} | dict(texts)
    context = Context({name: _entry(part) for name, part in here.items()})
    text = recipe.text()
    given = declared_args(text, recipe.build_args)
    translation = translate(text, recipe.dockerfile.name, given, recipe.platform, context)
    images = [one.base for one in translation.stages if one.base]
    bases = find_bases(images, given_bases, mirror)

    def rendered(labels: Mapping[str, str]) -> str:
        return render(translation.stages, recipe.dockerfile.name, bases, labels)

    ids = {image: base_id(base, memory) for image, base in bases.items()}
    inputs = hash_definition({"inputs": inputs_hash(recipe, ids), "text": rendered(recipe.labels)})
    labels = {**recipe.labels, **recipe.remarks, **own_labels(recipe.name, inputs)}
    placed, folders = _placed(translation.stages, context, here)
    return Definition(
        name=recipe.name,
        source=recipe.dockerfile,
        text=rendered(labels),
        inputs=inputs,
        platform=recipe.platform,
        files=[*placed, *(Placed(place=one.name, path=one.file) for one in bases.values() if one.file)],
        folders=folders,
        config=_config(translation, labels),
        notes=tuple(f"{recipe.dockerfile.name}:{note.line}: {note.text}" for note in translation.notes),
        needs_network=any(one.is_download for one in bases.values()),
    )


def own_labels(name: str, inputs: str) -> dict[str, str]:
    """The labels that Slipway gives each image that it builds."""
    return {
        INPUTS: inputs,
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": slipway.__version__,
    }


def base_id(base: BaseSource, memory: Path) -> str:
    """What an image that a definition starts from is known by: its file's content, else its address."""
    if base.file is None:
        return " ".join(base.header)
    # An OCI layout names all that is in it by its hash.
    file = base.file / "index.json" if base.file.is_dir() else base.file
    return hash_files(file.parent, [file.name], memory)[file.name]


def hash_files(folder: Path, names: Iterable[str], memory: Path) -> dict[str, str]:
    """The SHA-256 of files in a folder; one that looks as it did is not read again.

    Raises:
        ImageError: one cannot be read.
    """
    cache = HashCache(memory, folder)
    found: dict[str, Hashed] = {}
    for name in names:
        try:
            key = file_key((folder / name).stat())
            found[name] = (key, cache.find(name, key) or sha256(folder / name))
        except OSError as error:
            raise ImageError(f"{folder / name} cannot be read for the build: {error.strerror}") from error
    cache.remember({**cache.hashed, **found})
    return {name: digest for name, (_, digest) in found.items()}


def _entry(part: Path | str) -> Entry:
    if isinstance(part, str):
        return Entry(kind="f")
    if part.is_symlink():
        return Entry(kind="l", target=str(part.readlink()))
    if part.is_dir():
        return Entry(kind="d")
    return Entry(kind="f", is_archive=_is_archive(part))


def _is_archive(path: Path) -> bool:
    try:
        return path.stat().st_size > 0 and tarfile.is_tarfile(path)
    except (OSError, EOFError):
        return False


def _placed(
    stages: Sequence[Sections], context: Context, here: Mapping[str, Path | str]
) -> tuple[list[Placed], list[str]]:
    placed: list[Placed] = []
    folders: list[str] = []
    for part in (part for stage in stages for part in stage.taken):
        for name in context.below(part.name):
            inner = name[len(part.name) :].lstrip("/") if part.name else name
            place = "/".join(filter(None, (COPIES, part.place, inner)))
            kind = context.entries[name].kind
            found = here.get(name)
            if kind == "d":
                folders.append(place)
            elif kind == "f" and isinstance(found, str):
                placed.append(Placed(place=place, content=found.encode()))
            elif kind == "f" and isinstance(found, Path):
                placed.append(Placed(place=place, path=found))
        if not part.name:
            folders.append(f"{COPIES}/{part.place}")
    # Only links may be in it, which come to be in the image.
    folders += [f"{COPIES}/{name}" for stage in stages for name in stage.folders]
    return placed, folders


def _config(translation: Translation, labels: Mapping[str, str]) -> dict[str, Any]:
    """What the image is to be, as far as that is known before the build."""
    chain = _chain(translation.stages)
    known: dict[str, Word] = {}
    for name, value in (pair for stage in chain for pair in stage.environment):
        known.pop(name, None)
        known[name] = value
    own = {name: value for stage in chain for name, value in stage.labels.items()}
    program = chain[-1].program
    config: dict[str, Any] = {
        "Env": list(_environment(known.items())),
        "Labels": {**own, **labels},
        "User": translation.user,
    }
    if program.entrypoint is not None:
        config["Entrypoint"] = list(program.entrypoint)
    if program.entrypoint is not None or program.command is not None:
        config["Cmd"] = list(program.command or ())
    return config


def _chain(stages: Sequence[Sections]) -> list[Sections]:
    by_name = {one.name: one for one in stages}
    chain = [stages[-1]]
    while chain[0].parent:
        chain.insert(0, by_name[chain[0].parent])
    return chain


def _environment(known: Iterable[tuple[str, Word]]) -> Iterable[str]:
    for name, value in known:
        found = literal(value)
        if found is None and name in _EXTENDED and all(isinstance(one, Unknown) for one in value[1:]):
            # Of what is put in front of a path, its end is that of the image that it starts from.
            found = known_part(value).rstrip(":")
        if found is not None:
            yield f"{name}={found}"
