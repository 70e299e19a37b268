"""Engines that cannot be used, each with its own message."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.errors import EngineError
from slipway.image.engine import engine
from tests.old_engine import old_engine


def test_an_engine_that_does_not_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(EngineError, match=rf"DOCKER_HOST=unix://{path} does not run; start it"):
        engine()
    # Left behind by an engine that was killed.
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(EngineError, match="does not run; start it"):
        engine()


@pytest.fixture(params=["1.27", "1.12"])
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with old_engine(path, request.param):
        yield request.param


def test_an_engine_that_is_too_old_is_told(old: str) -> None:
    with pytest.raises(EngineError) as caught:
        engine()
    assert old in str(caught.value) or "API versions below" in str(caught.value)
    assert "is needed" in str(caught.value) or "update Docker" in str(caught.value)
