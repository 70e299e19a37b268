"""`invoke push` for a file that is a `.sif` only by its name, as a program of its own that can be killed.

Run as ``python -m tests.integration.push_program STATE SIF SSH_CONFIG SCRATCH NAME``. All is as in the task,
but for the conversion, which has tests of its own. On standard output: what was sent, as JSON.
"""

import hashlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from slipway.profile import load_profile
from slipway.project import Project
from slipway.scheduler.slurm.site import SlurmSite
from slipway.sif.holes import Piece
from slipway.sif.kept import Sif
from slipway.site import Login, Paths
from slipway.steps import image
from slipway.steps.session import Choice, Session
from slipway.terminal.terminal import terminal

ROOT = Path(__file__).parents[2]


def as_sif(path: Path, name: str) -> Sif:
    """A file as a converted image; its hash is kept beside it, or, where it has holes, all that is known."""
    with_holes = path.with_suffix(".values.json")
    if with_holes.exists():
        values = json.loads(with_holes.read_text())
        holes = tuple(Piece(**one) for one in values["holes"])
        return Sif(path=path, name=name, **{**values, "holes": holes})
    kept = path.with_suffix(".sha256")
    if not kept.exists():
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        # Two programs may do this at once.
        new = kept.with_suffix(f".{os.getpid()}")
        new.write_text(digest.hexdigest())
        new.replace(kept)
    size_bytes = path.stat().st_size
    return Sif(path=path, name=name, image_id="sha256:0", sha256=kept.read_text(), size_bytes=size_bytes)


def main(state: str, sif: str, ssh_config: str, scratch: str, name: str, *options: str) -> None:
    with terminal() as screen:
        project = Project(root=ROOT, state=Path(state), results=Path(state) / "results")
        session = Session(project=project, progress=screen, prompt=screen)
        # In the place of the conversion: a converted image that is there already.
        image.convert = lambda *_, **__: (as_sif(Path(sif), name), False)
        site = SlurmSite(
            name="there", login=Login(host="box", ssh_config=ssh_config), paths=Paths(scratch=scratch)
        )
        choice = Choice(profile=load_profile(project.profiles, "base"), site=site)
        _, _, _, transfer = image.push(session, choice, prune="--prune" in options)
        screen.say(json.dumps(transfer and asdict(transfer)))


if __name__ == "__main__":
    from invoke.exceptions import Exit

    try:
        main(*sys.argv[1:])
    except Exit as error:
        sys.exit(error.code)
