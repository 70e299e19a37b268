"""Steps that start and end the box."""

from __future__ import annotations

from slipway.box import container as box
from slipway.image.build import build_image
from slipway.image.engine import engine
from slipway.progress import explain_stop
from slipway.sif.store import tools_recipe
from slipway.steps.image import ensure_base
from slipway.steps.session import Session


@explain_stop("`invoke box.up` goes on from here, and `invoke box.down` removes what there is of the box")
def box_up(session: Session) -> box.BoxStatus:
    """Have the box ready; its images are built where they are missing."""
    # It is there in each project, and says where Debian and Slipway's tools come from.
    profile = session.profile("cpu")
    ensure_base(session, profile)
    client = engine()
    build_image(client, tools_recipe(session.project, profile), session.progress)
    image, _ = build_image(client, box.box_recipe(session.project, profile), session.progress)
    return box.up(client, session.project.state, image.ref, progress=session.progress)


def box_down(session: Session, *, purge: bool) -> bool:
    """End the box; see :func:`slipway.box.container.down`."""
    session.progress.step("Ending the box")
    return box.down(engine(), session.project.state, purge=purge)
