"""Ways of bringing an image to the cluster, beside Slipway's: Orbit's recipe, plain Apptainer and rsync."""

from __future__ import annotations

import hashlib

from bench.suite.place import IMAGE, Place, expect
from bench.suite.process import run
from bench.suite.row import Way


class Images:
    """One Docker image on its way to the box.

    Args:
        place: where it happens.
        name: the image's.
    """

    def __init__(self, place: Place, name: str = IMAGE) -> None:
        self.place, self.name = place, name
        place.start_box()
        self._short = name.removeprefix("slipway-")

    @property
    def push(self) -> tuple[str, ...]:
        """The words of `invoke push`."""
        return ("push", "--profile", "cpu", "--site", "box", "--set", f"IMAGE={self.name}")

    def slipway(self) -> Way:
        """`invoke push`."""

        def check() -> None:
            self._check_sif(f"{self.place.scratch}/slipway/images/{self.name}.sif")

        return Way(name="Slipway", act=lambda: self.place.slipway(*self.push), check=check)

    def orbit(self, times: int | None = None) -> Way:
        """Orbit's `container.sh push`: a sandbox, `tar`, a login that makes the folder, and `scp`."""
        script = """cd /bench && apptainer build --force --sandbox "$2" docker-daemon:$1:latest
            tar -cf "$2.tar" "$2" && rm -rf "$2" """
        sandbox = f"{self._short}-orbit.sif"

        def act() -> None:
            self.place.in_tools(script, self.name, sandbox)
            run([*self.place.ssh, "box", f"mkdir -p {self.place.scratch}/bench"])
            self._scp(f"{sandbox}.tar")

        def check() -> None:
            file = f"{self.place.scratch}/bench/{sandbox}.tar"
            self._same(self.place.there('tar -xOf "$1" "$2/opt/changed" | sha256sum', file, sandbox), "Orbit")

        return Way(name="Orbit's recipe", act=act, check=check, times=times)

    def apptainer(self) -> Way:
        """`apptainer build` from the engine, with its own settings, and rsync."""
        file = f"{self._short}-plain.sif"

        def act() -> None:
            self.place.in_tools(BUILD, self.name, file)
            run([*self.place.ssh, "box", f"mkdir -p {self.place.scratch}/bench"])
            self.rsync(file)

        return Way(
            name="`apptainer build`, rsync",
            act=act,
            check=lambda: self._check_sif(f"{self.place.scratch}/bench/{file}"),
        )

    def rsync(self, file: str) -> None:
        """One file, by rsync over OpenSSH."""
        ssh = " ".join(self.place.ssh)
        there = f"box:{self.place.scratch}/bench/"
        run(["rsync", "-t", "-e", ssh, str(self.place.folder / file), there])

    def _scp(self, file: str) -> None:
        options = self.place.ssh[1:]
        run(["scp", *options, str(self.place.folder / file), f"box:{self.place.scratch}/bench/{file}"])

    def _check_sif(self, file: str) -> None:
        # It is used as a job would.
        self._same(self.place.there('apptainer -q exec "$1" sha256sum </dev/null /opt/changed', file), file)

    def _same(self, said: str, who: str) -> None:
        wanted = hashlib.sha256(self.place.changed(self.name).read_bytes()).hexdigest()
        expect(wanted in said, f"{who}: what is there is not what was changed: {said}")


BUILD = 'cd /bench && apptainer build --force "$2" docker-daemon:$1:latest'
