"""Which run is meant where none is named, dry runs, and Ctrl-C: what is said of them."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConfigError, UsageError
from slipway.job.request import check_name
from slipway.job.run import Run, Status
from slipway.job.selection import ALL, Selection
from slipway.progress import NullProgress, explain_stop
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.scheduler.usage import Usage
from slipway.ssh.prompt import NoPrompt
from slipway.steps import image as image_steps
from slipway.steps.cancel import cancel
from slipway.steps.find import find_run
from slipway.steps.session import Session
from slipway.steps.status import list_runs
from tests.checkout import UserCheckout, make_user_checkout
from tests.forked import Forked, forked_tasks
from tests.unit.test_request_mistakes import JOB, PROFILE
from tests.unit.test_run import NOW, make_run
from tests.waiting import PATIENCE_S

SITE = """\
login: {host: hpc.invalid}
paths: {scratch: $SCRATCH/me}
defaults: {partition: gpu, time: "1:00:00"}
"""


class Listener(NullProgress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, text: str) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.said.append(text)


class Person(NoPrompt):
    def __init__(self, answer: str | None) -> None:
        self.answer, self.asked = answer, list[str]()

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        assert echo
        self.asked.append(prompt)
        return self.answer


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "box.yaml").write_text("login: {host: h.invalid}\npaths: {scratch: /s}\n")
    project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
    store = Session(project=project).store
    store.save(replace(make_run("k3f9-cpu"), args=("--task", "a b")))
    store.save(replace(make_run("k2f9-cpu"), submitted=NOW - timedelta(hours=1)))
    return project


def test_the_newest_run_is_named_with_its_arguments(project: Project) -> None:
    listener = Listener()
    session = Session(project=project, progress=listener)
    assert find_run(session, None)[0].run_id == "k3f9-cpu"
    assert listener.said == ["k3f9-cpu, the newest run: --task 'a b'"]
    assert find_run(session, "k2")[0].run_id == "k2f9-cpu"
    assert len(listener.said) == 1


@pytest.mark.parametrize("answer", [None, "", "no", "k3f9"])
def test_nothing_is_cancelled_without_a_name_or_a_yes(project: Project, answer: str | None) -> None:
    person = Person(answer)
    newest = r"k3f9-cpu \(--task 'a b'\)"
    with pytest.raises(UsageError, match=rf"nothing was cancelled; .*`invoke cancel RUN`\. .* {newest}"):
        cancel(Session(project=project, prompt=person), None)
    assert person.asked == ["Cancel k3f9-cpu (--task 'a b'), the newest run? Type yes to cancel it: "]


def test_nobody_is_asked_about_a_run_that_is_over(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "connect", lambda *_: pytest.fail("connects"))
    session = Session(project=project, prompt=(person := Person(None)))
    over = replace(
        make_run("k4f9-cpu"), submitted=NOW + timedelta(hours=1), status=Status(state=State.COMPLETED)
    )
    session.store.save(over)
    with pytest.raises(pytest.fail.Exception, match="connects"):
        cancel(session, None)
    assert not person.asked


def test_status_asks_again_for_usage_that_was_late_where_it_asks_anyway(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(project=project)
    over = Status(state=State.COMPLETED, reason="ok", elapsed_s=9)
    runs = [
        replace(make_run("late"), status=over, usage_tries=1),
        replace(make_run("old"), status=over),
        replace(make_run("known"), status=over, usage=Usage(), usage_tries=1),
        replace(make_run("elsewhere"), status=over, usage_tries=1, site="hpc"),
    ]
    asked: list[str] = []

    def refresh(session: Session, host: object, some: list[Run]) -> list[Run]:
        asked.extend(run.run_id for run in some)
        return [replace(run, usage=Usage(elapsed_s=9)) for run in some]

    monkeypatch.setattr(Session, "connect", lambda *_: nullcontext())
    monkeypatch.setattr("slipway.steps.recover.recover_there", lambda *_: [])
    monkeypatch.setattr("slipway.steps.refresh.refresh", refresh)
    for run in session.store.select():
        session.store.forget(run)
    for run in runs:
        session.store.save(run)
    list_runs(session, ALL, 10)
    assert asked == []  # Nobody logs in for that alone.
    session.store.save(replace(make_run("alive"), status=Status(state=State.RUNNING)))
    listed, _ = list_runs(session, ALL, 10)
    assert asked == ["alive", "late"]
    assert {run.run_id: run.usage for run in listed}["late"] == Usage(elapsed_s=9)


def test_a_yes_cancels(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: Any) -> Any:
        raise ConfigError("connects")

    monkeypatch.setattr(Session, "connect", connect)
    for prefix, person in ((None, Person("yes")), ("k2", Person(None))):
        with pytest.raises(ConfigError, match="connects"):
            cancel(Session(project=project, prompt=person), prefix)
        assert len(person.asked) == int(prefix is None)


def test_ctrl_c_says_what_the_innermost_knows() -> None:
    with pytest.raises(KeyboardInterrupt, match="inner"), explain_stop("outer"), explain_stop("inner"):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt, match="outer"), explain_stop("outer"):
        raise KeyboardInterrupt


def test_the_second_build_of_a_profile_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is a fake: what it builds takes as long as the test wants."""
    begun, go_on, built = threading.Event(), threading.Event(), list[str]()

    def build_image(_: object, recipe: str, *__: object, **___: object) -> tuple[str, bool]:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        built.append(recipe)
        return recipe, True

    def recipe(*_: object) -> Any:
        return type("Recipe", (), {"sources": (), "remarks": {}, "context": tmp_path})

    monkeypatch.setattr("slipway.image.build.build_image", build_image)
    monkeypatch.setattr(image_steps, "engine", lambda: None)
    monkeypatch.setattr(image_steps, "remember_built", lambda *_: None)
    monkeypatch.setattr(image_steps, "read_inputs", lambda *_: None)
    monkeypatch.setattr(image_steps, "profile_recipe", recipe)
    monkeypatch.setattr("slipway.steps.definition.find_revision", lambda *_: {})
    monkeypatch.setattr(image_steps, "replace", lambda value, **_: value)
    project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
    first, second = (Session(project=project, progress=Listener()) for _ in range(2))
    profile: Any = type("Profile", (), {"name": "lab", "is_built_by_apptainer": False})
    threads = [threading.Thread(target=image_steps.build, args=(one, profile)) for one in (first, second)]
    threads[0].start()
    assert begun.wait(PATIENCE_S)
    threads[1].start()
    deadline = time.monotonic() + PATIENCE_S
    while not second.progress.said and time.monotonic() < deadline:  # type: ignore[attr-defined]
        time.sleep(0.01)
    assert second.progress.said == ["Waiting for another build of profile lab from this checkout"]  # type: ignore[attr-defined]
    assert built == []
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(built) == 2


@pytest.fixture(scope="module")
def tunnel() -> Iterator[Forked]:
    opened: AbstractContextManager[Forked] = forked_tasks()
    with opened as tunnel:
        yield tunnel


@pytest.fixture
def user_checkout(tunnel: Forked, tmp_path: Path) -> UserCheckout:
    return make_user_checkout(tmp_path, tunnel, SITE, PROFILE)


def test_a_dry_run_needs_no_login_and_no_image(user_checkout: UserCheckout) -> None:
    """The site's name is known to nobody, and its scratch is a variable."""
    user_checkout.profile("ENV_ALPHA=1\n")
    before = user_checkout.files()
    done = user_checkout.invoke(*JOB, "--dry-run", "--time", "0:05:00", "--", "--name", "a b", "x\nrm -rf ~")
    assert (done.returncode, done.stderr) == (0, "")
    script = done.stdout
    assert script.startswith("#!/bin/bash -l\n")
    assert "#SBATCH --time=0:05:00\n" in script
    assert "image='$SCRATCH/me/slipway/images/lab.sif'\n" in script
    assert script.endswith(
        "# argv, the program and its arguments: python3 main.py --name 'a b' 'x\n"
        "# rm -rf ~'\n"
        "# environment, ENV_… of the profile: ALPHA\n"
        "# Not known before the job is submitted: the run's id, which image lab.sif is then (the script\n"
        "# names that one), which data are packed there, and what variables of the site's paths are there.\n"
    )
    left = [file.name for file in user_checkout.files() if file not in before]
    assert not [name for name in left if name.endswith(".json")]


def test_a_run_is_found_by_its_name(project: Project) -> None:
    session = Session(project=project)
    session.store.save(replace(make_run("m4f9-cpu"), name="rpy-long"))
    assert find_run(session, "rpy")[0].run_id == "m4f9-cpu"
    assert [run.run_id for run in session.store.select(Selection(name="rpy-long"))] == ["m4f9-cpu"]
    assert session.store.select(Selection(profile="other")) == []
    session.store.save(replace(make_run("m5f9-cpu"), name="rpy-short"))
    with pytest.raises(UsageError, match=r"several runs' ids or names: m4f9-cpu \(rpy-long\), m5f9-cpu"):
        find_run(session, "rpy")


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 41, "a\n"])
def test_a_name_that_cannot_be_one(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a run's name"):
        check_name(name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--pack", "--delete"], "--delete: a packed dataset holds nothing that is not here; leave it out"),
        (["--via", "bucket:x"], "--via sends one file, which costs a bucket one object: add --pack"),
        (["--pack", "--via", ":s3,secret_access_key=SECRET:x"], "--via …: write REMOTE:PATH, with the name"),
        (["--pack", "--name", f"a-{'0' * 16}"], "a name may not end with `-` and 16 hexadecimal digits"),
    ],
)
def test_what_cannot_be_packed_is_refused_before_the_login(
    user_checkout: UserCheckout, options: list[str], said: str
) -> None:
    done = user_checkout.invoke("stage", ".", "--site", "hpc", *options)
    assert said in done.stderr
    assert "SECRET" not in done.stderr
    assert done.returncode in (64, 73)


def test_the_folder_itself_is_no_empty_path(user_checkout: UserCheckout) -> None:
    done = user_checkout.invoke("stage", "", "--site", "hpc")
    assert (done.returncode, done.stderr.partition(";")[0]) == (73, "error: the path is empty")
    # What is not there is the site.
    assert user_checkout.invoke("stage", ".", "--site", "hpc").returncode == 77
