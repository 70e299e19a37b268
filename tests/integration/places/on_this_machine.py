"""This machine as a place: no SSH, no scheduler; its own Docker engine, or Apptainer where it is installed.

Apptainer needs a newer Debian than this machine may have. So ``test_scenarios_inside.py`` starts a container
that has it, in which this checkout's own Python runs the same scenarios.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slipway.image.engine import engine
from slipway.progress import NullProgress
from slipway.push.upload import push_sif
from slipway.sif.kept import Sif
from slipway.steps.image import build, push
from tests.integration.places.place import Place, checkout

IMAGE = "slipway-test-local"
LOCAL = """
scheduler: host
paths: {{scratch: {folder}/scratch}}
container: {{command: {command}}}
places: 4
grace_s: 4
"""
# Names a file: what the image is, as JSON.
SIF = "SLIPWAY_TEST_SIF"


@contextmanager
def docker(folder: Path) -> Iterator[Place]:
    """Jobs in the engine that has the image."""
    with pytest.MonkeyPatch.context() as patch:
        # The queue is the user's own, and lies in the home folder.
        patch.setenv("XDG_STATE_HOME", str(folder.parent / "queue"))
        dockerfile = folder.parent / "Dockerfile"
        dockerfile.write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n")
        overrides = [f"IMAGE={IMAGE}", f"DOCKERFILE={dockerfile}"]
        text = LOCAL.format(folder=folder, command="docker")
        session, choice = checkout(folder, folder / "state", "local", overrides, local=text)
        (folder / "scratch").mkdir()
        build(session, choice.profile)
        push(session, choice)
        yield Place(session=session, choice=choice)
        engine().images.remove(IMAGE)


@contextmanager
def apptainer(folder: Path) -> Iterator[Place]:
    """Jobs by Apptainer, with the image that :data:`SIF` names."""
    if SIF not in os.environ:
        pytest.skip("it runs in a container that has Apptainer: test_scenarios_inside.py")
    values = json.loads(Path(os.environ[SIF]).read_text())
    sif = Sif(**{**values, "path": Path(values["path"])})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder.parent / "queue"))
        text = LOCAL.format(folder=folder, command="apptainer")
        session, choice = checkout(folder, folder / "state", "local", [f"IMAGE={sif.name}"], local=text)
        (folder / "scratch").mkdir()
        with session.open_scratch(choice.site) as (host, scratch):
            push_sif(host, scratch, sif, "client", NullProgress())
        yield Place(session=session, choice=choice)
