"""What a user writes to be rid of something, and what is said to them."""

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.errors import DataError, IncompleteError, UsageError
from slipway.host.host import Host
from slipway.keep.decision import Criteria, Decision
from slipway.keep.survey import Item
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from slipway.steps.prune import Pruned, make_criteria
from slipway.steps.session import Session
from slipway.steps.where import where_it_lies
from slipway.terminal.cost_view import confirm_removal
from slipway.terminal.terminal import Terminal
from tests.unit.test_keep_survey import make_run

SITE = SlurmSite(name="hpc", scheduler="slurm", login=Login(host="hpc"), paths=Paths(scratch="/s"))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))


def criteria(session: Session, **words: object) -> Criteria:
    nothing: dict[str, object] = {"kinds": None, "older_than": None, "states": (), "keep_last": None}
    nothing |= {"runs": (), "data": (), "not_home": False}
    return make_criteria(session, SITE, **{**nothing, **words})  # type: ignore[arg-type]


def test_what_is_asked_for(session: Session) -> None:
    for run_id in ("k3f9-cpu", "k3xx-cpu"):
        session.store.save(make_run(run_id))
    session.store.save(replace(make_run("m2p4-cpu"), name="rpy"))
    assert criteria(session) == Criteria()
    assert criteria(session, kinds="images, cache", older_than="2w").kinds == {"images", "cache"}
    wanted = criteria(session, states=["failed,TIMEOUT"], keep_last="0", data=["photos"])
    assert (wanted.states, wanted.keep_last) == ({State.FAILED, State.TIMEOUT}, 0)
    assert (wanted.kinds, wanted.name_runs) == ({"runs", "code", "data", "packed"}, True)
    # A whole name goes before the beginning of another one.
    session.store.save(replace(make_run("n4q5-cpu"), name="rpy-long"))
    # Of this checkout by what they are called, of another by the whole id.
    assert criteria(session, runs=["k3f", "rpy", "zzzz-cpu"]).runs == {"k3f9-cpu", "m2p4-cpu", "zzzz-cpu"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"kinds": "run"}, r"--kind run: write some of runs, code, .*did you mean runs"),
        ({"kinds": "data"}, "a dataset goes only when it is named; add --data NAME"),
        ({"keep_last": "-1"}, "--keep-last -1: write how many runs as a number"),
        ({"keep_last": "²"}, "--keep-last ²: write how many runs as a number"),
        ({"runs": [""]}, "--run has no value"),
        ({"older_than": "30"}, "--older-than 30: write hours, days or weeks"),
        ({"states": ["BAD"]}, "BAD"),
        ({"runs": ["k3"]}, "'k3' is the beginning of several runs' ids: .*k3f9-cpu"),
    ],
)
def test_what_cannot_be_asked_for(session: Session, words: dict[str, object], said: str) -> None:
    for run_id in ("k3f9-cpu", "k3xx-cpu"):
        session.store.save(make_run(run_id))
    with pytest.raises(UsageError, match=said):
        criteria(session, **words)


class Asked(Terminal):
    """Somebody who answers, or nobody."""

    def __init__(self, answer: str | None) -> None:
        super().__init__()
        self.answer = answer

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        assert prompt == "Remove 1 run: 0 files, 0.0 kB? Type yes to remove them: "
        return self.answer


@pytest.mark.parametrize(("answer", "goes"), [("yes", True), ("y", True), ("", False), ("no", False)])
def test_the_question(answer: str, goes: bool) -> None:
    some = Decision(remove=[Item(kind="runs", name="a")])
    assert confirm_removal(Asked(answer), some, yes=False, dry_run=False) is goes


def test_nobody_is_asked_without_need() -> None:
    some = Decision(remove=[Item(kind="runs", name="a")])
    assert confirm_removal(Asked(None), some, yes=True, dry_run=False)
    assert not confirm_removal(Asked(None), some, yes=True, dry_run=True)
    assert not confirm_removal(Asked(None), Decision(), yes=False, dry_run=False)
    with pytest.raises(UsageError, match="--yes says yes beforehand"):
        confirm_removal(Asked(None), some, yes=False, dry_run=False)


def test_what_could_not_be_removed_is_named() -> None:
    bad = Item(kind="runs", name="a")
    Pruned(gone=[bad], kept=[(bad, "is used")]).check()
    with pytest.raises(IncompleteError, match=r"1 could not be removed; .*:\n  runs/a: closed"):
        Pruned(gone=[], failed=[(bad, "closed")]).check()


class There:
    """What is on the cluster."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths

    def size(self, path: PurePosixPath) -> int | None:
        return 1 if str(path) in self.paths else None

    def is_folder(self, path: PurePosixPath) -> bool:
        return str(path) in self.paths


def test_where_a_run_lies(session: Session) -> None:
    run = make_run("a")
    kept = replace(run, kept="/home/me/slipway-kept/runs/a", removed_s=1_000_000_000)

    def lies(run_of: object, *there: str) -> str:
        return str(where_it_lies(session, cast(Host, There(*there)), run_of))  # type: ignore[arg-type]

    assert lies(run) == run.run_dir
    sums = "/home/me/slipway-kept/.sha256/runs-a"
    assert lies(kept, sums, str(kept.kept)) == kept.kept
    # Somebody has removed the copy, and not its list.
    assert lies(kept, sums, run.run_dir) == run.run_dir
    # Somebody has removed the copy, and restored the run before.
    assert lies(kept, run.run_dir) == run.run_dir
    with pytest.raises(DataError, match=r"was removed on 2001-09-09, .*nothing of it was brought home"):
        lies(kept)
    (session.project.results / "a").mkdir(parents=True)
    with pytest.raises(DataError, match=r"what was brought home is in .*/results/a"):
        lies(kept)
