"""The places on the box: its SLURM, and the same machine as a host without a scheduler."""

from pathlib import Path

from slipway.steps.box import box_up
from tests.integration.places.place import Place, checkout
from tests.integration.small_image import IMAGE, SmallImageBox

# The box's login node, as a workstation that is reached by SSH.
WORKSTATION = """
scheduler: host
login: {host: box, ssh_config: box/ssh_config}
paths: {scratch: $SCRATCH}
modules: [apptainer]
places: 4
grace_s: 4
"""


def slurm(small: SmallImageBox, folder: Path) -> Place:
    """SLURM. Its time limits are whole minutes."""
    state = small.session.project.state
    session, choice = checkout(folder, state, "box", [f"IMAGE={IMAGE}"])
    limits = box_up(small.session).memory_limits is not None
    return Place(session=session, choice=choice, limit="1", limits_memory=limits)


def host(small: SmallImageBox, folder: Path) -> Place:
    """A host by SSH, with Apptainer."""
    state = small.session.project.state
    session, choice = checkout(folder, state, "workstation", [f"IMAGE={IMAGE}"], workstation=WORKSTATION)
    return Place(session=session, choice=choice)
