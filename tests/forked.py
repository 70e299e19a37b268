"""A program many times over: one process imports what it needs, and each run is a fork of that one.

What is shared is the start of Python and the imports, and nothing else: a run has its own working directory,
environment, arguments and outputs, and is the module's own `__main__`.
"""

import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
# The longest that one run may take.
RUN_S = 300
# What tasks import.
TASKS = (
    "invoke.main",
    "docker",
    "paramiko",
    "rich.console",
    "slipway.steps.session",
    "slipway.terminal.terminal",
)


@dataclass(frozen=True)
class Forked:
    """The process that forks, and where its runs leave what they print."""

    process: "subprocess.Popen[str]"
    folder: Path

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        """Run the module with these arguments in this environment; with no standard input."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        outputs = [str(self.folder / name) for name in ("stdout", "stderr")]
        order = {"words": list(words), "cwd": str(cwd), "env": dict(env), "outputs": outputs}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        said = [Path(path).read_bytes().decode("utf-8", errors="surrogateescape") for path in outputs]
        return subprocess.CompletedProcess(words, code, *said)


@contextmanager
def forking(module: str, imports: Sequence[str], env: Mapping[str, str]) -> Iterator[Forked]:
    """A process that runs a module as often as it is asked to.

    Args:
        module: the one that ``python -m`` is to run.
        imports: what it imports before.
        env: the process's own environment, as far as Python itself reads it when it starts.
    """
    argv = [sys.executable, str(Path(__file__)), module, *imports]
    pipe = subprocess.PIPE
    with (
        TemporaryDirectory() as folder,
        subprocess.Popen(
            argv, env=env, stdin=pipe, stdout=pipe, text=True, start_new_session=True
        ) as process,
    ):
        try:
            yield Forked(process, Path(folder))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=RUN_S)


class SharedTasks:
    """`python -m invoke`, forked as often as it is asked for; its process begins at the first time."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._forked: Forked | None = None
        self._one = threading.Lock()

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        """Run a task; another one at the same time has a process of its own."""
        if not self._one.acquire(blocking=False):
            argv = [sys.executable, "-m", "invoke", *words]
            return subprocess.run(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=RUN_S,
                check=False,
            )
        try:
            if self._forked is None:
                self._forked = self._stack.enter_context(forked_tasks())
            return self._forked.run(words, cwd=cwd, env=env)
        finally:
            self._one.release()

    def close(self) -> None:
        """End the process."""
        self._stack.close()
        self._forked = None


@contextmanager
def forked_tasks() -> Iterator[Forked]:
    """`python -m invoke`, as often as it is asked for."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    with forking("invoke", TASKS, environment) as tunnel:
        yield tunnel


def wait_for_order() -> dict[str, Any] | None:
    """Fork at each order; the fork is given it, and the process itself ``None`` when there are no more."""
    with os.fdopen(os.dup(0)) as orders, os.fdopen(os.dup(1), "w") as answers:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for line in orders:
            order: dict[str, Any] = json.loads(line)
            child = os.fork()
            if child == 0:
                return order
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(code, file=answers, flush=True)
    return None


def main() -> None:
    """Import, and be the module as often as it is ordered."""
    module, *imports = sys.argv[1:]
    sys.path[0] = ""
    for name in imports:
        importlib.import_module(name)
    order = wait_for_order()
    if order is None:
        return
    signal.alarm(RUN_S)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    for number, path in enumerate(order["outputs"], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = [module, *order["words"]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
