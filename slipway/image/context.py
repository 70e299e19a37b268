"""Build contexts: a Dockerfile's folder, and what Slipway puts beside its files."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Callable
from typing import Any

from slipway.errors import ImageError
from slipway.image.recipe import CA_BUNDLE, Recipe, context_files, find_ca_bundle


def pack_context(recipe: Recipe, environment: Callable[[str], str | None]) -> Any:
    """A tar file with what a Dockerfile may copy; whoever asks for it closes it, and then it is gone.

    Args:
        recipe: what is built.
        environment: where the names of certificate files are looked up.

    Raises:
        ConfigError: the certificates cannot be read.
        ImageError: a file of a source cannot be read.
    """
    from docker.utils.build import create_archive

    # Slipway's own lines in the context: the certificates, which no final stage copies.
    bundle = find_ca_bundle(recipe, environment).decode("utf-8", errors="replace")
    origins = [(f"{one.place}/origin.json", one.origin()) for one in recipe.sources]
    names = context_files(recipe)
    spool = tempfile.NamedTemporaryFile(prefix="slipway-context-")  # noqa: SIM115 - the caller closes it
    extra = [(CA_BUNDLE, bundle), *origins]
    archive = create_archive(str(recipe.context), files=names, fileobj=spool, extra_files=extra)
    _add_sources(archive, recipe)
    return archive


def _add_sources(archive: Any, recipe: Recipe) -> None:
    with tarfile.open(fileobj=archive, mode="a") as tar:
        for path, name in (pair for source in recipe.sources for pair in source.paths()):
            try:
                tar.add(path, name, recursive=False, filter=_plain)
            except OSError as error:
                raise ImageError(f"{path} cannot be read for the build: {error.strerror}") from error
    archive.seek(0)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    # Whose files they are here, and who else may read them, is nothing to the image; each user's engine would
    # compile anew for it.
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member
