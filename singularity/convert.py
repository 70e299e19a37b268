"""Makes a .sif from the archive of a Docker image, with Apptainer driven by spython.

Runs where Apptainer is: on this machine, or in the container of singularity/Dockerfile. It needs nothing but
spython there, so that it can be mounted into the container as a single file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# zstd makes as small a file as Apptainer's default, gzip, and takes a third of its time.
SQUASHFS = "-comp zstd -Xcompression-level 3"


def main() -> int:
    """Convert ``--archive`` to ``--sif``; the exit code is 0 only where Apptainer can read the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, required=True, help="what `docker save` wrote")
    parser.add_argument("--sif", type=Path, required=True, help="the file to make")
    parser.add_argument("--tmp", type=Path, required=True, help="a folder with room for the unpacked image")
    parser.add_argument("--owner", metavar="UID:GID", help="whom the file is to belong to")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.tmp, prefix="convert-") as folder:
        os.environ.update(
            {f"{program}_{name}": folder for program in PROGRAMS for name in ("TMPDIR", "CACHEDIR")}
        )
        source = oci_source(args.archive, Path(folder))
        if not (build(source, args.sif) and readable(args.sif)):
            return 1
    if args.owner:
        os.chown(args.sif, *(int(number) for number in args.owner.split(":")))
    return 0


PROGRAMS = ("APPTAINER", "SINGULARITY")


def oci_source(archive: Path, folder: Path) -> str:
    """What Apptainer is to build from: an OCI layout with uncompressed layers where skopeo can make one.

    From the archive itself Apptainer compresses each layer once more before it unpacks it.
    """
    if shutil.which("skopeo") is None:
        return f"docker-archive:{archive}"
    layout = f"oci:{folder}/oci"
    command = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers"]
    subprocess.run([*command, f"docker-archive:{archive}", layout], check=True)
    return layout


def build(source: str, sif: Path) -> bool:
    """Build the image; what Apptainer says goes to standard output."""
    from spython.main import Client

    options = ["--mksquashfs-args", SQUASHFS]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        made = Client.build(recipe=source, image=str(sif), sudo=False, force=True, options=options)
    # spython prints each line twice, and with quiet=True not even those of a failure.
    print("\n".join(dict.fromkeys(said.getvalue().splitlines())), flush=True)
    return made is not None


def readable(sif: Path) -> bool:
    """True where Apptainer finds its own metadata in the file."""
    from spython.main import Client

    found = Client.inspect(str(sif), quiet=True)
    return "labels" in found.get("attributes", {})


if __name__ == "__main__":
    sys.exit(main())
