"""Ways of submitting a job after an edit, beside Slipway's: Orbit's recipe, and lxm3."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from bench.submit import SCRIPT, make_code
from bench.suite.others import Others
from bench.suite.place import IMAGE, ROOT, Place, expect
from bench.suite.process import run
from bench.suite.row import Way

SMALL = f"{IMAGE}-small"
_EDITED = Path("part-3") / "module_3.py"
_UNZIP = (
    "import hashlib, sys, zipfile; "
    "print(hashlib.sha256(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2])).hexdigest())"
)
_BUILD = '#!/bin/sh\ncp -r part-* "$BUILDDIR"\n'


def push_small(place: Place) -> None:
    """Bring a small image to the box."""
    place.start_box()
    place.change_image(SMALL, place.session.profile("cpu").base_image)
    place.slipway("push", "--profile", "cpu", "--site", "box", "--set", f"IMAGE={SMALL}")


class Code:
    """A checkout of so many files of 4 kB, and the ways of running it."""

    def __init__(self, place: Place, files: int) -> None:
        self.place, self.files = place, files
        self.folder = place.folder / f"code-{files}"
        if not self.folder.exists():
            make_code(self.folder, files)
        self._orbit = f"{place.scratch}/orbit-{files}"

    def change(self) -> None:
        """Edit one file, in a second in which nothing was sent; else Orbit's recipe leaves it out."""
        time.sleep(1 - time.time() % 1)
        (self.folder / _EDITED).write_text(f"changed = {os.urandom(16).hex()!r}\n" * 100)

    def slipway(self, name: str = "Slipway", logins: Path | None = None) -> Way:
        """`invoke job`, with logins of its own or those that are kept in a folder."""
        settings = (f"IMAGE={SMALL}", f"CODE_DIR={self.folder}", "PROGRAM=true")
        sets = [word for setting in settings for word in ("--set", setting)]
        words = [
            "job",
            "--profile",
            "cpu",
            "--site",
            "box",
            *sets,
            "--time",
            "1",
            "--cpus",
            "1",
            "--mem",
            "100M",
        ]
        folder = f"{self.place.scratch}/slipway/code"

        def check() -> None:
            code = self.place.newest_run()["code"]
            self._same(self.place.there('sha256sum <"$1"', f"{folder}/{code}/{_EDITED}"), name)

        return Way(
            name=name,
            before=self.change,
            act=lambda: self.place.slipway(*words, "--", logins=logins),
            check=check,
        )

    def orbit(self, name: str = "Orbit's recipe", master: Path | None = None) -> Way:
        """Its `cluster_interface.sh job`: five logins, or one that OpenSSH keeps at ``master``."""
        place, there = self.place, self._orbit
        (place.folder / "orbit-job.sh").write_text(SCRIPT)
        plain = [*place.ssh, *(["-S", str(master)] if master else [])]
        options = [*place.ssh[1:], *(["-o", f"ControlPath={master}"] if master else [])]

        def act() -> None:
            ssh = [*plain, "box"]
            run([*ssh, f"[ -f {place.scratch}/slipway/images/{SMALL}.sif ]"])
            run([*ssh, f"mkdir -p {there}"])
            rules = ["--exclude=*.git*", "--filter=:- .dockerignore"]
            run(["rsync", "-rh", *rules, "-e", " ".join(plain), f"{self.folder}/", f"box:{there}/code"])
            run(["scp", *options, str(place.folder / "orbit-job.sh"), f"box:{there}/job.sh"])
            run([*ssh, f"cd {there}/code && sbatch ../job.sh"])

        script = f"sha256sum <{there}/code/{_EDITED}"
        return Way(
            name=name,
            before=self.change,
            act=act,
            check=lambda: self._same(place.there(script), name),
        )

    def lxm3(self, others: Others) -> Way:
        """lxm3: the code as one archive, the whole of it each time, and a script, by SFTP; then `sbatch`."""
        place = self.place
        (self.folder / "build.sh").write_text(_BUILD)
        (self.folder / "build.sh").chmod(0o755)
        (sif,) = (place.state / "sif").glob(f"{SMALL}*.sif")
        home, config = others.lxm3_config(place)
        argv = [
            str(others.python),
            str(ROOT / "bench" / "suite" / "lxm3_launch.py"),
            str(self.folder),
            str(sif),
        ]
        newest = "find . -name '*.zip' -printf '%T@ %p\\n' | sort -n | tail -1"
        script = (
            f"cd {place.scratch}/lxm3 && file=$({newest}) && python3 -c '{_UNZIP}' \"${{file#* }}\" {_EDITED}"
        )
        return Way(
            name="lxm3",
            before=self.change,
            act=lambda: _nothing(run(argv, env={"HOME": str(home), "LXM_CONFIG": str(config)})),
            check=lambda: self._same(place.there(script), "lxm3"),
        )

    def _same(self, said: str, who: str) -> None:
        wanted = hashlib.sha256((self.folder / _EDITED).read_bytes()).hexdigest()
        expect(wanted in said, f"{who}: the code there is not what was edited: {said}")


def _nothing(_: str) -> None:
    return None
