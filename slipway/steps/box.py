"""Steps that start and end the box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.image.build import build_image
from slipway.image.engine import engine
from slipway.sif.store import tools_recipe

if TYPE_CHECKING:
    from slipway.box.container import BoxStatus

from slipway.steps.image import ImageSteps


class BoxSteps(ImageSteps):
    """The cluster in a container."""

    def box_up(self) -> BoxStatus:
        """Have the box ready; its images are built where they are missing."""
        from slipway.box import container as box

        profile = self.profile("base", ())
        self.ensure_base(profile)
        client = engine()
        build_image(client, tools_recipe(self.project, profile), self.progress)
        image, _ = build_image(client, box.box_recipe(self.project, profile), self.progress)
        return box.up(client, self.project.state, image.ref, progress=self.progress)

    def box_down(self, *, purge: bool) -> bool:
        """End the box; see :func:`slipway.box.container.down`."""
        from slipway.box import container as box

        self.progress.step("Ending the box")
        return box.down(engine(), self.project.state, purge=purge)
