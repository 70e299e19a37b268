"""Labels that say what an image is made of. What only the build finds out is in its ``versions.json``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from slipway.code.checkout import find_revision
from slipway.errors import SlipwayError
from slipway.image.source import Source

REVISION = "org.opencontainers.image.revision"
# Labels and the package of the lock file whose version they have.
_LOCKED = {"slipway.torch": "torch", "slipway.cuda": "nvidia-cuda-runtime-cu12"}


def content_labels(
    sources: Iterable[Source], build_args: Mapping[str, str], requirements: Path
) -> dict[str, str]:
    """What an image with compiled sources is made of.

    Args:
        sources: what is compiled. One that is fetched is named as it is asked for.
        build_args: the Dockerfile's arguments.
        requirements: the lock file; without one, versions are left out.
    """
    labels = {f"slipway.{one.name}": _revision(one, build_args) for one in sources}
    text = requirements.read_text(encoding="utf-8") if requirements.is_file() else ""
    for label, package in _LOCKED.items():
        if match := re.search(rf"^{package}==([\w.+-]+)", text, re.M):
            labels[label] = match[1]
    return labels


def checkout_labels(root: Path) -> dict[str, str]:
    """The commit of the checkout that an image is built in; nothing where git does not say.

    It is no part of what an image is known by: a commit that changes nothing in the image rebuilds nothing.
    """
    try:
        found = find_revision(root)
    except SlipwayError:
        return {}
    return {REVISION: found.commit + "-dirty" * found.dirty} if found.commit else {}


def _revision(source: Source, build_args: Mapping[str, str]) -> str:
    if source.folder is None:
        return build_args.get(source.key("REF"), "")
    return f"{source.commit or 'unknown'}{'-dirty' * source.dirty}"
