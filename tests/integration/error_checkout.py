"""Where mistakes are made as users make them: in a checkout, by real tasks, with docs/errors.md beside."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from tests.integration.task_runner import SHARED_TASKS
from tests.mistakes import Mistake, Table
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
# Makes a pseudo-terminal the terminal of a task, where standard input, output and error are not.
ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)
Answer = str | Callable[[], str]
Seen = subprocess.CompletedProcess[str]


@dataclass(frozen=True, kw_only=True)
class UserCheckout:
    """A checkout with a folder of data to stage, a home, and Slipway's state beside the checkout's files.

    Attributes:
        folder: the checkout.
        state: Slipway's state folder.
        environment: what a task finds in its environment beside this process's own.
        hidden: paths that messages may have, and what stands for each in the documentation.
    """

    folder: Path
    state: Path
    environment: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)

    def invoke(self, *words: str, site: str = "", answers: Sequence[Answer] = ()) -> Seen:
        """Run a task, which must leave the checkout as it was; ``site`` is the text of a site's file."""
        if site:
            (self.folder / "cluster" / "lab.yaml").write_text(site)
            words = (*words, "--site", "lab")
        before = self._files()
        done = self._run(words, answers)
        assert self._files() == before, "something was left behind"
        return done

    def _files(self) -> set[Path]:
        # A lock's file stays, for whoever waits for it, and so do the hashes of files that were read. What
        # programs printed stays, too: the message names the file.
        kept = {self.state / name for name in ("locks", "digests", "logs")}
        found = {*self.folder.rglob("*"), *self.state.rglob("*")}
        return {path for path in found if kept.isdisjoint((path, *path.parents))}

    def _run(self, words: Sequence[str], answers: Sequence[Answer]) -> Seen:
        own = {"HOME": str(self.folder / "home"), "SLIPWAY_STATE": str(self.state)}
        own |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **self.environment}
        if not answers:
            return SHARED_TASKS.run(words, cwd=self.folder, env={**os.environ, **own})
        ours, theirs = pty.openpty()
        argv = [sys.executable, "-c", ON_TERMINAL, str(theirs), "-m", "invoke", *words]
        with subprocess.Popen(
            argv,
            cwd=self.folder,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[theirs],
            start_new_session=True,
        ) as process:
            try:
                for answer in answers:
                    type_in(ours, answer, process)
                stdout, stderr = process.communicate(timeout=PATIENCE_S)
            finally:
                process.kill()
                os.close(ours)
                os.close(theirs)
        return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)


def type_in(terminal: int, answer: Answer, process: subprocess.Popen[str]) -> None:
    """Answer a prompt that shows nothing of the answer."""
    deadline = time.monotonic() + PATIENCE_S
    shown = b""
    # What is typed before the echo is off is thrown away.
    while not shown.rstrip(b" ").endswith(b":") or termios.tcgetattr(terminal)[3] & termios.ECHO:
        assert time.monotonic() < deadline, shown
        assert process.poll() is None, shown
        if select.select([terminal], [], [], 0.02)[0]:
            shown += os.read(terminal, 1 << 16)
    os.write(terminal, f"{answer if isinstance(answer, str) else answer()}\n".encode())


DeskT = TypeVar("DeskT", bound=UserCheckout)


@dataclass(frozen=True)
class Case(Generic[DeskT]):
    """One way to go wrong; ``differs`` are what else a message has that is not always the same."""

    words: str
    code: int
    remedy: str
    make: Callable[[DeskT], Seen]
    differs: dict[str, str]


class Topic(Generic[DeskT]):
    """All ways to go wrong that are in one table of docs/errors.md."""

    def __init__(self, name: str) -> None:
        self.table = Table("errors.md", name)
        self.cases: list[Case[DeskT]] = []

    def case(
        self, words: str, code: int, remedy: str, **differs: str
    ) -> Callable[[Callable[[DeskT], Seen]], Callable[[DeskT], Seen]]:
        def keep(make: Callable[[DeskT], Seen]) -> Callable[[DeskT], Seen]:
            self.cases.append(Case(words, code, remedy, make, differs))
            return make

        return keep

    def check(self, checkout: DeskT, case: Case[DeskT]) -> None:
        """Make the mistake, and compare what was printed with the table."""
        done = case.make(checkout)
        assert done.returncode == case.code, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert len(re.findall(r"^error:", done.stderr, re.M)) == 1
        message = done.stderr.partition("error: ")[2].strip()
        shown = plain(message, {**checkout.hidden, **case.differs})
        self.table.check(Mistake(words=case.words, code=case.code, message=shown, remedy=case.remedy))

    def check_order(self) -> None:
        """The table has these cases and no others."""
        self.table.check_order([case.words for case in self.cases])


def make_checkout(folder: Path) -> None:
    """What a task needs of a checkout, and ``room/``, a dataset."""
    for name in ("cluster", "docker", "env", "home", "room", "state"):
        (folder / name).mkdir()
    shutil.copy(ROOT / "tasks.py", folder)
    for name in (".env.example", ".env.base"):
        shutil.copy(ROOT / "env" / name, folder / "env")
    (folder / "room" / "file").write_text("data\n")


def plain(message: str, differs: dict[str, str]) -> str:
    """A message with placeholders for all that differs from run to run."""
    for pattern, placeholder in {re.escape(sys.executable): "python3", **differs}.items():
        message = re.sub(pattern, placeholder, message)
    return message
