"""A second cluster, built differently from the box, behind a jump host; and a reader at a terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.box.container import box_recipe
from slipway.box.spec import LEAST_NODE_MB, Box, container_config
from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.store import tools_recipe
from tests.documents import ROOT, Reader
from tests.integration.inside import end_inside
from tests.integration.sshd_containers import PASSWORD, SECRET, published
from tests.terminals import read_terminal
from tests.waiting import wait_until

IMAGE = "slipway-other-box"
JUMP, LOGIN = "gate.hpc.example.org", "login.hpc.example.org"
Answer = str | Callable[[], str]
# Takes the terminal that it is at for its own, and becomes the program.
_ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


@contextmanager
def other_cluster(folder: Path) -> Iterator[int]:
    """The cluster, for as long as it is wanted.

    Args:
        folder: an empty one.

    Yields:
        The port of this machine that leads to the jump host.
    """
    client = engine()
    image = _build(client, folder)
    network = client.networks.create(f"{IMAGE}-{os.getpid()}")
    made: list[Any] = []
    try:
        made.append(_create(client, image, folder / "jump", jump=True))
        made.append(_create(client, image, folder / "cluster", jump=False))
        for container, name in zip(made, (JUMP, LOGIN), strict=True):
            network.connect(container, aliases=[name])
            container.start()
        jump, cluster = made
        wait_until(lambda: b"Server listening" in jump.logs(), jump.logs)
        wait_until(
            lambda: end_inside(cluster, "grep", "-qx", "ready=yes", "/run/box/status") == 0, cluster.logs
        )
        jump.reload()
        yield published(jump, 22)
    finally:
        for container in made:
            container.remove(force=True, v=True)
        network.remove()
        client.close()


def _build(client: Any, folder: Path) -> str:
    profile = load_profile(ROOT / "env", "cpu")
    project = Project(root=ROOT, state=folder, results=folder)
    ensure_base(client, profile.base_image, profile.debian_mirror, NullProgress())
    build_image(client, tools_recipe(project, profile), NullProgress())
    box, _ = build_image(client, box_recipe(project, profile), NullProgress())
    dockerfile = Path(__file__).parent / "other_box" / "Dockerfile"
    recipe = Recipe(name=IMAGE, dockerfile=dockerfile, platform="", build_args={"BOX_IMAGE": box.ref})
    return build_image(client, recipe, NullProgress())[0].ref


def _create(client: Any, image: str, state: Path, *, jump: bool) -> Any:
    config = container_config(Box(state=state), image, LEAST_NODE_MB)
    config["Env"] += [f"PASSWORD={PASSWORD}", f"SECRET={SECRET}"]
    if jump:
        config |= {"Cmd": ["jump"], "Hostname": "gate"}
    else:
        del config["HostConfig"]["PortBindings"]
    made = client.api.create_container_from_config(config, f"{IMAGE}-{os.getpid()}-{state.name}")
    return client.containers.get(made["Id"])


@dataclass
class Person(Reader):
    """A reader at a terminal, who answers what is asked there.

    Attributes:
        answers: by a pattern for the end of what is shown, what is typed then.
        names: what stands in the place of another text in what is shown.
        shown: all that was, command by command.
    """

    answers: Sequence[tuple[str, Answer]] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)

    def run(self, words: str) -> "subprocess.CompletedProcess[str]":
        """Run a line as a shell does, at a terminal."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 50, 160, 0, 0))
        argv = [sys.executable, "-c", _ON_TERMINAL, "bash", "-c", words]
        with subprocess.Popen(
            argv,
            cwd=self.folder,
            env={**self.environment, "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            try:
                seen = self._sit_at(ours, process)
            finally:
                process.kill()
                os.close(ours)
        for text, name in self.names.items():
            seen = seen.replace(text, name)
        self.shown.append(f"$ {words}\n{seen}")
        return subprocess.CompletedProcess(argv, process.returncode, seen)

    def _sit_at(self, terminal: int, process: "subprocess.Popen[bytes]") -> str:
        deadline = time.monotonic() + self.timeout_s
        seen, answered = b"", 0
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.1)[0]:
                # What goes on behind a command, such as a kept login, has no terminal.
                if process.poll() is not None:
                    break
                continue
            piece = read_terminal(terminal)
            if not piece:
                break
            seen += piece
            line = seen[answered:].decode(errors="replace").rpartition("\n")[2]
            answer = next((answer for pattern, answer in self.answers if re.search(pattern, line)), None)
            if answer is not None:
                # What is typed before the echo is off is thrown away.
                time.sleep(0.3)
                os.write(terminal, f"{answer if isinstance(answer, str) else answer()}\n".encode())
                answered = len(seen)
        process.wait(timeout=max(1, deadline - time.monotonic()))
        return seen.decode(errors="replace").replace("\r\n", "\n")
