"""This machine as a place: no SSH, no scheduler, and its own Docker engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slipway.image.engine import engine
from slipway.steps.image import build, push
from tests.integration.places.place import Place, checkout

IMAGE = "slipway-test-local"
LOCAL = """
scheduler: host
paths: {{scratch: {folder}/scratch}}
container: {{command: docker}}
places: 4
grace_s: 4
"""


@contextmanager
def docker(folder: Path) -> Iterator[Place]:
    """Jobs in the engine that has the image."""
    with pytest.MonkeyPatch.context() as patch:
        # The queue is the user's own, and lies in the home folder.
        patch.setenv("XDG_STATE_HOME", str(folder.parent / "queue"))
        dockerfile = folder.parent / "Dockerfile"
        dockerfile.write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n")
        overrides = [f"IMAGE={IMAGE}", f"DOCKERFILE={dockerfile}"]
        text = LOCAL.format(folder=folder)
        session, choice = checkout(folder, folder / "state", "local", overrides, local=text)
        (folder / "scratch").mkdir()
        build(session, choice.profile)
        push(session, choice)
        yield Place(session=session, choice=choice)
        engine().images.remove(IMAGE)
