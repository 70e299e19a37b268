"""Steps with an image that Apptainer builds from a definition file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from slipway.errors import UsageError
from slipway.image.engine import Image
from slipway.image.inputs import explain_stale, keep_inputs, read_inputs
from slipway.image.label import checkout_labels
from slipway.image.own import last_built, remember_built
from slipway.image.recipe import profile_recipe
from slipway.profile import Profile
from slipway.progress import explain_stop
from slipway.sif.definition.definition import PREFIX, Definition, write_definition
from slipway.sif.definition.generated import from_recipe
from slipway.sif.definition.make import make_from_definition
from slipway.sif.definition.own import from_file
from slipway.sif.kept import Sif, find_newest
from slipway.sif.store import tools_recipe
from slipway.steps.session import Session


def read_definition(session: Session, profile: Profile) -> Definition:
    """The definition of a profile's image: the user's own, or one that is made of the Dockerfile.

    Raises:
        ConfigError: a file that the profile names does not exist.
        ImageError: the Dockerfile cannot be translated, or a file is missing.
    """
    memory = session.project.state / "digests" / "definition"
    if profile.definition is not None:
        return from_file(
            profile.definition,
            profile.image,
            profile.platform,
            profile.build_args,
            {"slipway.profile": profile.name},
            find_revision(session, profile.definition.parent),
            memory,
        )
    recipe = profile_recipe(profile)
    recipe = replace(recipe, remarks=find_revision(session, recipe.context))
    return from_recipe(recipe, profile.bases, profile.debian_mirror, memory)


@explain_stop("nothing of the build is kept but what was downloaded; the same command begins it anew")
def build_definition(
    session: Session, profile: Profile, *, compression: str = "zstd", fresh: bool = False
) -> tuple[Sif, bool]:
    """Build a profile's image with Apptainer, unless it is there; see :mod:`slipway.sif.definition.make`."""
    # What is changed while it is built is not in it.
    inputs = read_inputs(session.project, profile)
    definition = read_definition(session, profile)
    tools = tools_recipe(session.project, profile)
    sif, is_new = make_from_definition(
        definition, session.project, tools, session.progress, compression=compression, fresh=fresh
    )
    image = image_of(sif)
    remember_built(session.project, image)
    keep_inputs(session.project, image, inputs)
    return sif, is_new


def find_built_definition(session: Session, profile: Profile, compression: str) -> Sif | None:
    """What was built last for a profile with Apptainer, if that is kept here.

    It is not where a cluster has built a newer one.
    """
    kept = find_newest(session.project, profile.image, compression, PREFIX)
    last = last_built(session.project, profile.image)
    return kept if kept is not None and last in (kept.image_id, None) else None


def convert_definition(session: Session, profile: Profile, compression: str) -> tuple[Sif, bool]:
    """What was built last, with a word where something has changed since; built now where there is none."""
    kept = find_built_definition(session, profile, compression)
    if kept is None:
        return build_definition(session, profile, compression=compression)
    if stale := explain_stale(session.project, profile, kept.image_id):
        session.progress.note(
            f"The image {profile.image} here is {stale}; `invoke build --profile {profile.name}` brings it "
            "up to date"
        )
    return kept, False


def image_of(sif: Sif) -> Image:
    """A ``.sif`` as the rest of Slipway knows an image."""
    return Image(ref=f"{sif.name}:latest", id=sif.image_id, labels={}, size_bytes=sif.size_bytes)


def write_files(session: Session, profile: Profile, folder: Path) -> Path:
    """Write the definition file of a profile's image, and all that it copies, to a folder that is new.

    Raises:
        UsageError: there is something of that name.
    """
    definition = read_definition(session, profile)
    for note in definition.notes:
        session.progress.note(note)
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{folder} is there already; name a folder that is not") from error
    return write_definition(definition, folder)


def find_revision(session: Session, folder: Path) -> dict[str, str]:
    """The commit of what an image is built from, where that is the project's own and not Slipway's."""
    project = session.project
    is_own = project.share == project.root or not folder.is_relative_to(project.share)
    return checkout_labels(folder) if is_own else {}
