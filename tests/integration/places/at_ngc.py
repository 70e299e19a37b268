"""NVIDIA's platform as a place, by a stand-in: tests/integration/ngc/stand_in.py says how far that goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.scheduler.slurm.resources import SlurmResources
from tests.integration.ngc.platform import IMAGE, INSTANCE, platform_here
from tests.integration.places.place import Place, checkout

SITE = """
login: {{host: this-machine}}
scheduler: ngc
paths: {{scratch: {folder}/scratch}}
ngc: {{org: org, ace: ace-1, team: team, workspace: mine, registry: nvcr.example/org/team}}
grace_s: 3
"""


@contextmanager
def stand_in(folder: Path) -> Iterator[Place]:
    """Jobs are containers of this machine's engine, where the image has its name of the registry already."""
    own = folder.parent / "platform"
    with platform_here(own):
        text = SITE.format(folder=own)
        session, choice = checkout(folder, folder / "state", "dgx", [f"IMAGE={IMAGE}"], dgx=text)
        yield Place(
            session=session,
            choice=choice,
            wanted=SlurmResources(partition=INSTANCE, time="10"),
            has_dependencies=False,
            throttle=None,
        )
