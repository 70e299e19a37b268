"""Files of weights, and whether they are this network's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from slam.engine.droid.weights import read_weights, require_network, trim
from slam.errors import InputError

torch = pytest.importorskip("torch", reason="PyTorch is not installed here; the CUDA image has it")

NAME = "update.delta.2.bias"


def wanted() -> dict[str, Any]:
    return {"fnet.weight": torch.zeros(4, 3), NAME: torch.zeros(2)}


def published() -> dict[str, Any]:
    return {"module.fnet.weight": torch.ones(4, 3), f"module.{NAME}": torch.arange(3.0)}


def test_published_weights_are_trimmed(tmp_path: Path) -> None:
    path = tmp_path / "droid.pth"
    torch.save(published(), path)
    digest, values = read_weights(path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    require_network(path, values, wanted())
    assert {name: (*value.shape,) for name, value in trim(values).items()} == {
        "fnet.weight": (4, 3),
        NAME: (2,),
    }
    assert trim(values)[NAME].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fnet.more": 1}, "DROID-SLAM's has no fnet.more, which is one of 1 names"),
        ({"fnet.weight": None}, "1 of 2 names are missing, such as fnet.weight"),
        ({"fnet.weight": 7}, r"fnet.weight is \(7,\) and not \(4, 3\)"),
    ],
)
def test_another_network_is_told(tmp_path: Path, change: dict[str, int | None], message: str) -> None:
    values = wanted()
    for name, size in change.items():
        values.pop(name, None)
        if size:
            values[name] = torch.zeros(size)
    path = tmp_path / "mine.pth"
    torch.save(values, path)
    _, found = read_weights(path)
    with pytest.raises(InputError, match=message):
        require_network(path, found, wanted())


@pytest.mark.parametrize("content", [{1: 2}, [1], {"a": "b"}, None])
def test_what_is_no_dict_of_tensors_by_name(tmp_path: Path, content: object) -> None:
    path = tmp_path / "list.pth"
    torch.save({1: torch.zeros(1)} if content == {1: 2} else content, path)
    with pytest.raises(InputError, match="holds no network's weights"):
        read_weights(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`invoke weights` fetches and stages them, or do without$"):
        read_weights(tmp_path / "none.pth", "or do without")
