"""What converts images here, and the room for that."""

from __future__ import annotations

import shutil

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, skipped
from slipway.errors import HostError
from slipway.image.engine import engine, find_image
from slipway.shell import LocalShell
from slipway.sif.conversion import has_apptainer
from slipway.sif.store import SPACE_FACTOR, TOOLS_IMAGE


def _look_at_apptainer(_: Facts, __: Answer) -> Finding:
    if has_apptainer():
        program = "apptainer" if shutil.which("apptainer") else "singularity"
        said = LocalShell().run([program, "--version"])
        if said.ok:
            return ok(said.stdout.strip())
        return failed(
            f"`{program} --version` ended with exit code {said.exit_code}: {said.stderr.strip()[:200]}",
            so="`invoke push` would not convert the image",
            fix=f"mend {program} here, or take it off PATH: then the container {TOOLS_IMAGE} is used",
        )
    return _look_at_container()


def _look_at_container() -> Finding:
    """What converts where this machine has no Apptainer."""
    try:
        client = engine()
    except HostError:
        return failed(
            "there is none here, and no Docker that could run it",
            so="`invoke push` would not convert the image",
            fix="start Docker, or install Apptainer (https://apptainer.org)",
        )
    try:
        built = find_image(client, TOOLS_IMAGE) is not None
    finally:
        client.close()
    words = f"none here; the container {TOOLS_IMAGE} converts"
    return ok(words if built else f"{words}, built when it is needed")


def _look_at_room(facts: Facts, _: Answer) -> Finding:
    if facts.image is None:
        return skipped(f"there is no image {facts.profile.image} here yet; `invoke build` makes it")
    folder = facts.project.state
    folder.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(folder).free, facts.image.size_bytes * SPACE_FACTOR
    seen = f"{free / 1e9:.1f} GB free for {folder.name}/"
    if facts.sif is None and free < needed:
        return failed(
            f"{seen}, and converting {facts.image.ref} can take {needed / 1e9:.1f} GB",
            so="`invoke push` would be refused",
            fix=f"make room, or set SLIPWAY_STATE to a folder on another disk than {folder}",
        )
    return ok(seen)


CHECKS = (
    Check(
        name="apptainer",
        title="Apptainer",
        place=Place.HERE,
        about="Apptainer of this machine, or the container that is used where there is none.",
        predicts="`push` converts no image.",
        look=_look_at_apptainer,
    ),
    Check(
        name="state-disk",
        title="room here",
        place=Place.HERE,
        about="The room for converting the profile's image, in `.slipway/`.",
        predicts="`push` is refused.",
        look=_look_at_room,
    ),
)
