"""Which image of a name this project built last: other projects may give theirs the same name."""

from __future__ import annotations

from pathlib import Path

from slipway.image.engine import Image
from slipway.project import Project


def remember_built(project: Project, image: Image) -> None:
    """Keep the id of an image that was built here, or found to be what would be built."""
    file = _file(project, image.name)
    if not file.is_file() or file.read_text(encoding="ascii") != image.id:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(image.id, encoding="ascii")


def last_built(project: Project, name: str) -> str | None:
    """The id of the image of a name that was built last for this project, wherever; ``None`` without one."""
    file = _file(project, name)
    return file.read_text(encoding="ascii") if file.is_file() else None


def explain_other(project: Project, image: Image, profile: str) -> str | None:
    """What there is to say of an image that is not the one that was built here; ``None`` where it is.

    Nothing is said of a name that no image was built for here: that image was made with other tools.
    """
    file = _file(project, image.name)
    if not file.is_file() or file.read_text(encoding="ascii") == image.id:
        return None
    return (
        f"The image {image.name} in the Docker engine is not the one that was built in {project.root}: "
        f"something else made one of that name since. `invoke build --profile {profile}` makes it anew; "
        "with another IMAGE in its env/.env.base each project keeps its own"
    )


def _file(project: Project, name: str) -> Path:
    return project.state / "built" / name.replace("/", "_")
