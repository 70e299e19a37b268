"""Files of the network's weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from slam.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_TRIMMED = ("update.weight.2.weight", "update.weight.2.bias", "update.delta.2.weight", "update.delta.2.bias")


def read_weights(path: Path, advice: str = "") -> tuple[str, dict[str, Tensor]]:
    """The SHA-256 of a file of weights, and what it holds by the network's own names, without ``module.``.

    A checkpoint of ``--task train`` is such a file, too. The published file has a third output where
    upstream keeps two: it is still there, and :func:`trim` cuts it.

    Args:
        path: the file; nothing in it is executed.
        advice: what else may be done where there is none.

    Raises:
        InputError: it is not there, damaged, or no such file.
    """
    import torch

    if not path.is_file():
        raise InputError(
            f"there are no weights at {path}; `invoke weights` fetches and stages them"
            + (f", {advice}" if advice else "")
        )
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        values = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file may break its reader anywhere
        raise InputError(
            f"{path} cannot be loaded as weights ({_first_line(error)}); fetch it again"
        ) from error
    if isinstance(values, dict) and isinstance(values.get("model"), dict):
        values = values["model"]  # a checkpoint of --task train
    if not isinstance(values, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in values.items()
    ):
        raise InputError(f"{path} holds no network's weights; a dict of tensors by name is expected")
    return digest, {name.removeprefix("module."): value for name, value in values.items()}


def require_network(path: Path, values: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Make sure that weights, once they are trimmed, are those of the network ``wanted`` is of.

    Raises:
        InputError: they are another network's.
    """
    missing = sorted(set(wanted) - set(values))
    if missing:
        raise InputError(
            f"{path} holds the weights of another network: {len(missing)} of {len(wanted)} names are "
            f"missing, such as {missing[0]}"
        )
    if surplus := sorted(set(values) - set(wanted)):
        raise InputError(
            f"{path} holds the weights of another network: DROID-SLAM's has no {surplus[0]}, which is one of "
            f"{len(surplus)} names that it does not know"
        )
    trimmed = trim(values)
    for name, value in wanted.items():
        shape = (*trimmed[name].shape,)
        if shape != (*value.shape,):
            raise InputError(
                f"{path} holds the weights of another network: {name} is {shape} and not {(*value.shape,)}"
            )


def trim(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as upstream takes them: of the three outputs that the published file has, the first two."""
    return {name: value[:2] if name in _TRIMMED else value for name, value in values.items()}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
