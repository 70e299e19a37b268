"""Build contexts: a Dockerfile's folder, and what Slipway puts beside its files."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slipway.errors import ImageError
from slipway.image.recipe import CA_BUNDLE, Recipe, context_files, find_ca_bundle


def pack_context(
    recipe: Recipe, environment: Callable[[str], str | None], others: Mapping[str, bytes] | None = None
) -> Any:
    """A tar file with what a Dockerfile may copy; whoever asks for it closes it, and then it is gone.

    Args:
        recipe: what is built.
        environment: where the names of certificate files are looked up.
        others: more files, by their names.

    Raises:
        ConfigError: the certificates cannot be read.
        ImageError: a file of a source cannot be read.
    """
    files, texts = context_parts(recipe, environment)
    # Those first that are Slipway's own, for their headers are plain: by no more than the first one's buildx
    # tells an archive from a Dockerfile.
    contents = {name: text.encode() for name, text in texts}
    spool = tempfile.NamedTemporaryFile(prefix="slipway-context-")  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=spool, mode="w") as tar:
        for name, content in contents.items():
            _add_content(tar, name, content)
        for path, name in files:
            _add_file(tar, path, name)
        for name, content in (others or {}).items():
            _add_content(tar, name, content)
    spool.seek(0)
    return spool


def context_parts(
    recipe: Recipe, environment: Callable[[str], str | None]
) -> tuple[list[tuple[Path, str]], list[tuple[str, str]]]:
    """What a context is made of: files and folders with their names in it, and names with texts.

    Raises:
        ConfigError: the certificates cannot be read.
    """
    # Slipway's own lines in the context: the certificates, which no final stage copies.
    bundle = find_ca_bundle(recipe, environment).decode("utf-8", errors="replace")
    texts = [(f"{one.place}/origin.json", one.origin()) for one in recipe.sources]
    files = [(recipe.context / name, name) for name in context_files(recipe)]
    files += [pair for source in recipe.sources for pair in source.paths()]
    return files, [*texts, (CA_BUNDLE, bundle)]


def _add_file(tar: tarfile.TarFile, path: Path, name: str) -> None:
    try:
        tar.add(path, name, recursive=False, filter=_plain)
    except OSError as error:
        raise ImageError(f"{path} cannot be read for the build: {error.strerror}") from error


def _add_content(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    # Whose files they are here, and who else may read them, is nothing to the image; each user's engine would
    # compile anew for it. A job is no root: what only its owner may read, as with umask 077, no job could.
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    # On Windows no file is a program.
    member.mode = 0o755 if member.mode & 0o100 or os.name == "nt" else 0o644
    return member
