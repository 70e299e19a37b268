"""The Python API where no cluster is needed: what it refuses, what it exports, and whose turn it is."""

import gc
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import slipway
from slipway import Project, Run, State, call
from slipway.api import connections
from slipway.api.connections import Connections
from slipway.api.lines import Lines
from slipway.api.session import keep_session
from slipway.errors import (
    ConfigError,
    ConnectionLostError,
    LoginError,
    RunFailedError,
    SlipwayError,
    SshError,
    UsageError,
    WaitTimeoutError,
)
from slipway.job.record import format_run
from slipway.job.run import Status
from slipway.model import read_values
from slipway.progress import NullProgress
from slipway.project import Project as Folders
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Site
from slipway.steps import submit as steps
from slipway.steps.session import Session
from tests.unit.test_run import make_run
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's repository with a module in it."""
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".env.base").write_text("IMAGE=mine\nDOCKERFILE=Dockerfile\nPROGRAM=\nSITE=hpc\n")
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "hpc.yaml").write_text("login: {host: h}\npaths: {scratch: /s}\n")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    return tmp_path


def test_the_package_loads_nothing_before_it_is_asked_for() -> None:
    script = (
        "import sys, slipway\n"
        "assert [name for name in sys.modules if name.startswith('slipway')] == ['slipway']\n"
        "from slipway import Project, Run, errors\n"
        "assert slipway.errors is errors and {'Project', 'call'} <= {*dir(slipway)}\n"
        "assert not {'docker', 'paramiko', 'rich', 'invoke', 'requests', 'spython'} & {*sys.modules}\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, cwd=ROOT)


def test_all_public_names_are_there() -> None:
    for name in slipway.__all__:
        assert getattr(slipway, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Projekt'"):
        _ = slipway.Projekt  # type: ignore[attr-defined]


def test_a_project_is_found_from_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Project.here(folder / "deep" / "er").root == folder
    monkeypatch.chdir(folder / "deep")
    assert Project.here().root == folder
    assert repr(Project(folder)) == f"<Project {folder}>"


def test_a_folder_that_is_no_project_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"deep is no project of Slipway: it has no env/\.env\.base"):
        Project(folder / "deep")
    with pytest.raises(UsageError, match="no project of Slipway is at or above /: none"):
        Project.here("/")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("python3 train.py", 'is one word, .* write a list of words, such as \\["python3", "train.py"\\]'),
        (b"true", "is one word"),
        (["python3", "--lr", 0.1], r"argv\[2\] is 0.1, of type float; write text or a path: str\(0.1\)"),
        ([], "there is nothing to run"),
    ],
)
def test_what_is_no_command_line_is_refused(folder: Path, argv: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Project(folder).submit(argv)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"gpus": "a100;1"}, "gpus='a100;1': write it as a number, or a type"),
        ({"cpus": 0}, "cpus='0': write 1 or more"),
        ({"time": "soon"}, "time='soon': write it as"),
        ({"sbatch": "--comment=x"}, "is one string; write a list"),
        ({"sbatch": ["--output=x"]}, "--output"),
        ({"set": {"LR": 1}}, "LR is not a key of a profile"),
        ({"profile": "lab"}, "there is no profile 'lab'"),
        ({"site": "moon"}, "moon"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(folder: Path, wanted: dict[str, object], words: str) -> None:
    with pytest.raises(SlipwayError, match=words):
        Project(folder).submit(["true"], **wanted)  # type: ignore[arg-type]


def test_words_reach_the_job_as_they_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def submitted(session: Session, request: steps.Request, push: steps.Push) -> None:
        asked = {key: value for key, value in request.resources if value}
        seen.append((request.args, asked, push))
        raise ConnectionLostError("cut")

    monkeypatch.setattr("slipway.api.project.submitted", submitted)
    project = Project(folder)
    # What is submitted is not tried again by itself.
    with pytest.raises(ConnectionLostError):
        project.submit(
            ["a b", b"\xff", Path("x"), ""], gpus=2, time=90, exclusive=True, sbatch=["--comment=x"]
        )
    with pytest.raises(ConnectionLostError):
        project.submit(["true"], push=True)
    wanted = {"gpus": "2", "time": "90", "exclusive": True, "sbatch": ("--comment=x",)}
    assert seen[0] == (("a b", "\udcff", "x", ""), wanted, steps.Push.NEVER)
    assert seen[1:] == [(("true",), {}, steps.Push.ALWAYS)]


MODULE = """
import functools
def train(*args, **kwargs): return [args, kwargs]
class Trainer:
    @staticmethod
    def train(): pass
def make():
    def inner(): pass
    return inner
wrapped = functools.wraps(train)(lambda: None)
"""


@pytest.fixture
def training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (folder / "lab").mkdir()
    (folder / "lab" / "train_model.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    from importlib import import_module

    yield import_module("lab.train_model")
    for name in ("lab", "lab.train_model"):
        sys.modules.pop(name, None)


def test_a_function_is_called_by_its_name(
    folder: Path, training: Callable[..., None], tmp_path: Path
) -> None:
    argv = call(training.train, 1, "é", lr=1e-3, sizes=[1, 2]).command(folder)  # type: ignore[attr-defined]
    assert argv[:2] == ["python3", "-c"]
    # As in the container: another process, whose working directory is the code.
    out = tmp_path / "out"
    out.mkdir()
    environment = {**os.environ, "SLIPWAY_OUT": str(out)}
    subprocess.run([sys.executable, *argv[1:]], check=True, cwd=folder, env=environment)
    assert json.loads((out / "return.json").read_text())["value"] == [[1, "é"], {"lr": 1e-3, "sizes": [1, 2]}]
    name = call(training.Trainer.train).command(folder)[4]
    assert name == "Trainer.train"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda module: call(print), "which a job cannot import; put it in a module of the code folder"),
        (lambda module: call(module.make()), "is another object than the one that was given"),
        (lambda module: call(module.wrapped), "is another object than the one that was given"),
        (lambda module: call(module.train, (1, 2)), "would come back as something else"),
        (lambda module: call(module.train, Path("x")), "not JSON serializable"),
        (lambda module: call(module.train, d={1: 2}), "would come back as something else"),
    ],
)
def test_a_call_that_a_job_cannot_make_is_refused(
    folder: Path, training: object, make: Callable[[object], slipway.Call], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        make(training).command(folder)


def test_a_function_of_a_notebook_is_refused(folder: Path) -> None:
    def cell() -> None: ...

    cell.__module__ = "__main__"
    with pytest.raises(UsageError, match="cell is a function of this notebook or script, which a job cannot"):
        Project(folder).submit(call(cell))


def test_lines_come_when_they_are_whole() -> None:
    lines = Lines()
    lines.add("one\ntw")
    assert lines.take() == ["one"]
    lines.add("o\r\n 10%\r 20%\r")
    assert lines.take() == ["two", " 10%"]
    lines.add("\n\udcff\u00e9\x1b[0m")
    assert lines.take() == [" 20%"]
    assert lines.take(final=True) == ["\\xff\u00e9\x1b[0m"]
    assert lines.take(final=True) == []


class FakeHost:
    """Stands in for a connection, which a test can cut or keep from answering."""

    def __init__(self) -> None:
        self.is_open = True
        self.answers = True

    @property
    def is_lost(self) -> bool:
        return not self.is_open

    def run(self, argv: list[str], *, timeout_s: float) -> None:
        if not self.answers:
            raise SshError("it did not answer")

    def close(self) -> None:
        self.is_open = False


class Hosts:
    """Makes connections and counts them."""

    def __init__(self) -> None:
        self.made: list[FakeHost] = []
        self.kept = Connections(self.log_in)  # type: ignore[arg-type]

    def log_in(self, site: Site) -> FakeHost:
        self.made.append(FakeHost())
        return self.made[-1]


SITE = read_values(SlurmSite, {"name": "hpc", "login": {"host": "h"}, "paths": {"scratch": "/s"}})


def test_one_connection_serves_all() -> None:
    hosts = Hosts()
    for _ in range(3):
        with hosts.kept.use(SITE), hosts.kept.use(SITE):
            pass
    assert len(hosts.made) == 1
    hosts.kept.close()
    assert not hosts.made[0].is_open
    with hosts.kept.use(SITE):
        assert len(hosts.made) == 2


def test_a_connection_that_idled_is_tried_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts()
    with hosts.kept.use(SITE) as host:
        host.answers = False  # type: ignore[attr-defined]
    with hosts.kept.use(SITE):
        assert len(hosts.made) == 1
    monkeypatch.setattr(connections, "IDLE_S", 0.0)
    with hosts.kept.use(SITE):
        assert [host.is_open for host in hosts.made] == [False, True]


def test_a_site_that_was_edited_is_logged_in_to_again() -> None:
    hosts = Hosts()
    with hosts.kept.use(SITE):
        pass
    other = SITE.model_copy(update={"login": SITE.login.model_copy(update={"host": "other"})})
    with hosts.kept.use(other):
        assert len(hosts.made) == 2


def test_what_may_have_left_half_an_answer_ends_the_connection() -> None:
    hosts = Hosts()
    for error, left in ((KeyboardInterrupt(), 0), (ValueError(), 0), (ConfigError(), 1)):
        with pytest.raises(type(error)), hosts.kept.use(SITE):
            raise error
        assert sum(host.is_open for host in hosts.made) == left


def test_a_lost_connection_is_made_again_once() -> None:
    hosts, seen = Hosts(), []

    def act(host: FakeHost) -> str:
        seen.append(host)
        if len(seen) < 2:
            host.close()
            raise ConnectionLostError("cut")
        return "done"

    assert hosts.kept.retry(SITE, act) == "done"  # type: ignore[arg-type]
    assert seen == hosts.made
    assert len(seen) == 2

    def refuse(host: FakeHost) -> None:
        seen.append(host)
        raise SshError("too slow")

    with pytest.raises(SshError):
        hosts.kept.retry(SITE, refuse)  # type: ignore[arg-type]
    # The connection was there all the time, so once more would be the same.
    assert len(seen) == 3

    def hang(host: FakeHost) -> str:
        seen.append(host)
        if host is hosts.made[1]:
            host.answers = False
            raise SshError("it did not end within 60 s")
        return "done"

    # It looks open, but nothing comes back any more.
    assert hosts.kept.retry(SITE, hang) == "done"  # type: ignore[arg-type]
    assert [host.is_open for host in hosts.made] == [False, False, True]


def test_who_follows_does_not_come_back_after_the_end() -> None:
    hosts, told = Hosts(), list[str]()

    def cut(host: FakeHost) -> str:
        if len(hosts.made) == 1:
            host.close()
            raise ConnectionLostError("cut")
        return "done"

    assert hosts.kept.persist(SITE, cut, told.append) == "done"  # type: ignore[arg-type]
    assert told == ["The connection was lost: cut\nConnecting again", "Connected again"]

    def end(host: FakeHost) -> None:
        hosts.kept.close()
        raise ConnectionLostError("closed")

    with pytest.raises(ConnectionLostError, match="closed"):
        hosts.kept.persist(SITE, end, told.append)  # type: ignore[arg-type]
    assert len(hosts.made) == 2
    with pytest.raises(ConnectionLostError, match="closed"):
        hosts.kept.retry(SITE, end)  # type: ignore[arg-type]
    assert len(hosts.made) == 3


def test_threads_take_turns() -> None:
    hosts, inside, most = Hosts(), [0], [0]

    def act(_: object) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.01)
        inside[0] -= 1

    threads = [threading.Thread(target=hosts.kept.retry, args=(SITE, act)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(hosts.made)) == ([1], 1)


def test_a_session_that_nobody_has_any_more_is_logged_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FakeHost] = []
    monkeypatch.setattr(Session, "log_in", lambda self, site: made.append(FakeHost()) or made[-1])
    session = keep_session(Folders.find(folder), None, None)
    run = Run(session, replace(make_run("k3f9"), site="hpc"))
    with session.connect(SITE):
        pass
    del session
    gc.collect()
    # The run has it.
    assert made[0].is_open
    del run
    gc.collect()
    deadline = time.monotonic() + PATIENCE_S
    while made[0].is_open:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("asks", [True, False])
def test_a_login_that_asks_and_nobody_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, asks: bool
) -> None:
    def log_in(self: Session, site: Site) -> None:
        if asks:
            self.prompt.ask("Password: ", echo=False)
        raise LoginError("refused")

    monkeypatch.setattr(Session, "log_in", log_in)
    with pytest.raises(LoginError) as caught:
        Project(folder).submit(["true"])
    assert ("prompt=getpass.getpass" in str(caught.value)) == asks


def test_whoever_listens_and_whoever_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def log_in(self: Session, site: Site) -> None:
        self.prompt.tell("For members only.")
        raise LoginError(f"{self.prompt.ask('Code: ', echo=True)} {self.prompt.ask('Again: ', echo=False)}")

    monkeypatch.setattr(Session, "log_in", log_in)
    with pytest.raises(LoginError, match=r"^'For members only.\\nCode: ' 'Again: '$"):
        Project(folder, progress=told.append, prompt=repr).submit(["true"])
    assert told == ["Logging in to hpc"]

    def nobody(prompt: str) -> str:
        raise EOFError

    with pytest.raises(LoginError, match=r"^None None$"):
        Project(folder, prompt=nobody).submit(["true"])

    class Listener(NullProgress):
        def step(self, text: str) -> None:
            told.append(text.upper())

    with pytest.raises(LoginError):
        Project(folder, progress=Listener(), prompt=repr).submit(["true"])
    assert told[1:] == ["LOGGING IN TO HPC"]


@pytest.fixture
def over(folder: Path) -> Callable[..., Run]:
    """A run that is over, as its record here says; nobody can be asked."""

    def make(state: State, reason: str, exit_code: int) -> Run:
        status = Status(state=state, reason=reason, exit_code=exit_code)
        record = replace(make_run("k3f9"), site="hpc", job_id="7", status=status)
        (folder / ".slipway" / "runs").mkdir(parents=True)
        (folder / ".slipway" / "runs" / "k3f9.json").write_text(format_run(record, local=True))
        return Project(folder).run("k3")

    return make


def test_a_run_that_is_over_is_not_asked_for(over: Callable[..., Run], folder: Path) -> None:
    run = over(State.FAILED, "program-error", 3)
    assert run.wait() is run
    assert (run.id, run.job_id, run.state, run.state == "FAILED") == ("k3f9", "7", State.FAILED, True)
    assert (run.is_over, run.reason, run.exit_code, run.site) == (True, "program-error", 3, "hpc")
    assert f"{run.state}" == str(run.state) == "FAILED"
    assert repr(run) == "<Run k3f9 FAILED program-error>"
    with pytest.raises(RunFailedError, match=r"k3f9 FAILED: program-error, exit code 3\. `run"):
        run.wait(check=True)
    project = Project(folder)
    assert [one.id for one in project.runs(refresh=False)] == ["k3f9"]
    assert [one.id for one in project.runs()] == ["k3f9"]
    with pytest.raises(UsageError, match="no run's id or name starts with 'x'"):
        project.run("x")
    with pytest.raises(UsageError, match="write the run"):
        project.run("")


def test_a_run_that_did_well_is_no_error(over: Callable[..., Run]) -> None:
    assert over(State.COMPLETED, "ok", 0).wait(check=True).exit_code == 0


def test_a_wait_that_is_too_long_is_two_kinds_of_error() -> None:
    assert issubclass(WaitTimeoutError, TimeoutError)
    assert issubclass(WaitTimeoutError, SlipwayError)


def test_results_of_yesterday(over: Callable[..., Run], folder: Path) -> None:
    run = over(State.COMPLETED, "ok", 0)
    assert run.results is None
    out = folder / "results" / "k3f9" / "attempt-10" / "out"
    out.mkdir(parents=True)
    (folder / "results" / "k3f9" / "attempt-9").mkdir()
    (folder / "results" / "k3f9" / "run.json").write_text("{}")
    (out / "figures.json").write_text('{"loss": 0.25, "long": [1]}')
    assert run.results is not None
    assert (run.results.out, run.results.figures) == (out, {"figures": {"loss": 0.25}})
    with pytest.raises(slipway.errors.DataError, match=r"return\.json has no value that a function returned"):
        _ = run.results.returned
    (out / "return.json").write_text('{"value": [1]}')
    assert run.results.returned == [1]
    (out / "return.json").write_text('{"value": NaN}')
    assert math.isnan(run.results.returned)
    # What a program leaves there may be anything.
    for content in ("[" * 100_000, "[]", "{}", '{"value":'):
        (out / "return.json").write_text(content)
        with pytest.raises(slipway.errors.DataError):
            _ = run.results.returned
    (out / "return.json").unlink()
    (out / "return.json").symlink_to("/dev/zero")
    with pytest.raises(slipway.errors.DataError, match="no regular file"):
        _ = run.results.returned
