"""Steps on known datasets: listed, found, removed; and what their tasks say."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from slipway.dataset.fetch import Fetched
from slipway.errors import DataError, UsageError
from slipway.job.run import LOCAL, Run, Status
from slipway.keep.decision import Decision
from slipway.keep.survey import Item
from slipway.project import Project
from slipway.report.dataset_table import dataset_columns, dataset_lines, dataset_values
from slipway.scheduler.base import State
from slipway.scheduler.choose import parse_resources
from slipway.steps import datasets
from slipway.steps.session import Choice, Session
from tests.unit.test_dataset_fetch import content, tgz
from tests.unit.web_files import WebFiles, serve_files

PROFILE = "IMAGE=x\nDOCKERFILE=Dockerfile\nCODE_DIR=.\nPROGRAM=true\n"


@pytest.fixture
def web() -> Iterator[WebFiles]:
    with serve_files() as server:
        yield server


@pytest.fixture
def session(tmp_path: Path, web: WebFiles) -> Session:
    for folder in ("env", "cluster"):
        (tmp_path / folder).mkdir()
    (tmp_path / "env" / ".env.base").write_text(PROFILE)
    (tmp_path / "Dockerfile").touch()
    (tmp_path / "cluster" / "hpc.yaml").write_text("login: {host: hpc.invalid}\npaths: {scratch: /s}\n")
    web.files |= {"/a.tgz": tgz({"a/1": b"1"}), "/b.tgz": tgz({"b/1": b"22"})}
    lab: dict[str, Any] = {"layout": "plain", "title": "Our lab", "base": f"{web.url}/", "source": "here"}
    lab |= {"sequences": {"a": "a.tgz", "b": "b.tgz"}, "usual": ["a"], "arguments": ["--stride", "2"]}
    lab |= {"reference": [{"what": "ATE, m", "source": "us", "figures": {"a": 0.5}}]}
    (tmp_path / "cluster" / "datasets.yaml").write_text(json.dumps({"lab": lab}))
    state = tmp_path / ".slipway"
    return Session(project=Project(root=tmp_path, state=state, results=tmp_path / "results"))


def test_a_dataset_is_fetched_to_the_folder_of_data(session: Session) -> None:
    root, profile = session.project.root, session.profile("base")
    dataset, where, done = datasets.fetch_here(session, profile, "lab", [])
    assert (dataset.title, where) == ("Our lab", root / "data" / "lab")
    assert done == Fetched(new=["a"], there=[], unknown=[], failed=[])
    # It lies in a repository, and is none of its code.
    assert (root / "data" / ".gitignore").read_text() == "*\n"
    _, where, done = datasets.fetch_here(session, profile, "lab", ["all"], root / "other")
    assert (where, done.new) == (root / "other" / "lab", ["a", "b"])
    assert content(where) == {"a/1": b"1", "b/1": b"22"}
    assert not (root / "other" / ".gitignore").exists()


def test_data_go_where_the_profile_has_them(session: Session, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    profile = session.profile("base", [f"DATA_DIR={tmp_path / 'mine'}"])
    _, where, _ = datasets.fetch_here(session, profile, "lab", ["b"])
    assert where == tmp_path / "mine" / "lab"
    assert not (tmp_path / "mine" / ".gitignore").exists()


def test_what_nobody_can_fetch(session: Session) -> None:
    profile = session.profile("base")
    with pytest.raises(UsageError, match="no dataset 'lap' is known"):
        datasets.fetch_here(session, profile, "lap", [])
    site = session.site("hpc")
    with pytest.raises(DataError) as caught:
        datasets.fetch_at(session, site, "room", [])
    assert str(caught.value) == (
        "room is not fetched from anywhere. Fetch it on this machine, `invoke data.fetch room`, and send it: "
        "`invoke stage data/room --site hpc`"
    )


def test_what_is_made_is_made_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(profile: object, program: tuple[str, ...], folder: Path) -> None:
        made.append(program)
        (folder / "rgb").mkdir(parents=True)

    monkeypatch.setattr("slipway.steps.datasets.make_data", make)
    profile = session.profile("base")
    assert datasets.fetch_here(session, profile, "room", [])[2].new == ["room"]
    assert datasets.fetch_here(session, profile, "room", [])[2].there == ["room"]
    assert made == [("python3", "-m", "slam.demo.scene")]
    assert [path.name for path in (session.project.root / "data").iterdir() if path.name != ".gitignore"] == [
        "room"
    ]


def test_what_is_known_and_what_is_here(session: Session) -> None:
    root, profile = session.project.root / "data", session.profile("base")
    datasets.fetch_here(session, profile, "lab", [])
    (root / "mine").mkdir()
    (root / "mine" / "file").write_bytes(b"123")
    listing = datasets.list_data(session, root)
    values = {one["name"]: one for one in dataset_values(listing, 2_000_000_000)}
    assert list(values) == ["eth3d", "euroc", "lab", "mine", "room", "tartanair", "tum"]
    assert values["mine"]["known"] is None
    assert values["lab"]["here"]["sequences"] == ["a"]
    assert values["mine"]["here"]["path"] == str(root / "mine")
    assert (values["mine"]["here"]["files"], values["mine"]["here"]["size_bytes"]) == (1, 3)
    assert values["lab"]["known"]["sequences"]["b"]["folder"] == "b"
    assert values["lab"]["known"]["usual"] == ["a"]
    json.dumps(values)
    columns = dataset_columns([values["lab"], values["room"], values["mine"]], None)
    assert [" ".join(cell) for cell in columns["KNOWN"]] == ["2 sequences", "made here", "-"]
    assert " ".join(columns["HERE"][0]).startswith("1 sequence, 1 file, 0.0 kB, ")
    assert dataset_lines(values["lab"]) == [
        "lab  Our lab",
        "  layout    plain",
        "  source    here",
        "  arguments --stride 2",
        "  reference ATE, m; us",
        "    a  usual, here, 0.5",
        "    b",
    ]


def test_what_is_there_has_a_column_of_its_own(session: Session) -> None:
    listing = datasets.Listing(
        known={},
        root=Path("data"),
        here={},
        fetched={},
        there={"tum": Item(kind="data", name="tum", files=2, size_bytes=5_000_000, written_s=1000)},
    )
    values = dataset_values(listing, 1000 + 3 * 24 * 3600)
    assert values == [
        {
            "name": "tum",
            "known": None,
            "here": None,
            "there": {"files": 2, "size_bytes": 5_000_000, "age_s": 259200, "owner": None},
        }
    ]
    assert dataset_columns(values, "hpc")["HPC"] == [["2 files,", "5.0 MB,", "3d"]]
    packed = Item(kind="packed", name=f"tum-{'0' * 16}.sqsh", files=1, size_bytes=3_000_000, written_s=1000)
    values = dataset_values(replace(listing, packed={"tum": [packed]}), 1000)
    assert values[0]["there"]["packed"] == {
        "files": 1,
        "size_bytes": 3_000_000,
        "age_s": 0,
        "owner": None,
        "file": packed.name,
        "versions": 1,
    }
    assert dataset_columns(values, "hpc")["HPC"] == [["packed,", "3.0 MB,", "0h"]]


def test_a_dataset_by_its_name_or_its_path(session: Session, tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "lab").mkdir(parents=True)
    (tmp_path / "else").mkdir()
    assert datasets.find_data(root, "lab") == root / "lab"
    assert datasets.find_data(root, str(tmp_path / "else")) == tmp_path / "else"
    with pytest.raises(
        UsageError, match=r"there is no dataset 'lob' in .*/data \(did you mean lab\?\), and no"
    ):
        datasets.find_data(root, "lob")


def local_run(session: Session, *args: str) -> Run:
    run = Run(
        run_id="abcd-base-20260131-120000",
        site=LOCAL,
        profile="base",
        submitted=datetime(2026, 1, 31, tzinfo=timezone.utc),
        program=("python3",),
        args=args,
        commit=None,
        dirty=False,
        image_id="sha256:0",
        sif="x",
        sif_sha256="",
        code="0",
        resources={},
        profile_values={},
        site_values={},
        run_dir="/tmp/results/abcd-base-20260131-120000",
        status=Status(state=State.RUNNING),
    )
    session.store.save(run)
    return run


def test_what_is_here_is_removed(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.steps.datasets.sweep", lambda session: None)
    root, profile = session.project.root / "data", session.profile("base")
    datasets.fetch_here(session, profile, "lab", [])
    asked: list[Decision] = []

    def refuse(decision: Decision) -> bool:
        asked.append(decision)
        return False

    assert datasets.remove_here(session, root, "lab", refuse) is None
    assert [item.name for item in asked[0].remove] == ["lab"]
    assert (root / "lab").is_dir()
    gone = datasets.remove_here(session, root, "lab", lambda decision: True)
    assert gone is not None
    assert [path.name for path in root.iterdir()] == [".gitignore"]
    with pytest.raises(UsageError, match=r"there is no dataset 'lab' in .*/data"):
        datasets.remove_here(session, root, "lab", refuse)


def test_a_link_to_data_is_removed_and_not_what_it_leads_to(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.steps.datasets.sweep", lambda session: None)
    (tmp_path / "data").mkdir()
    (tmp_path / "far").mkdir()
    (tmp_path / "data" / "lab").symlink_to(tmp_path / "far")
    datasets.remove_here(session, tmp_path / "data", "lab", lambda decision: True)
    assert (tmp_path / "far").is_dir()
    assert not (tmp_path / "data" / "lab").is_symlink()


@pytest.mark.parametrize(
    ("args", "stays"), [(("--dataset", "lab"), True), ((), True), (("--dataset", "other"), False)]
)
def test_what_a_run_here_may_read_stays(
    session: Session, args: tuple[str, ...], stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.steps.datasets.sweep", lambda session: None)
    root, profile = session.project.root / "data", session.profile("base")
    datasets.fetch_here(session, profile, "lab", [])
    run = local_run(session, *args)
    if stays:
        with pytest.raises(DataError, match=f"the run {run.run_id} here may read it; end it first"):
            datasets.remove_here(session, root, "lab", lambda decision: True)
        assert (root / "lab").is_dir()
    else:
        assert datasets.remove_here(session, root, "lab", lambda decision: True)


def test_what_a_job_reads_stays_there(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    item = Item(kind="data", name="lab", files=1, size_bytes=1)

    def prune(session: Session, site: object, criteria: Any, confirm: Any) -> Any:
        assert (criteria.kinds, criteria.data) == (frozenset({"data", "packed"}), frozenset({"lab"}))
        return datasets.pruning.Pruned(gone=[item] if confirm(None, decision) else [])

    monkeypatch.setattr("slipway.steps.prune.prune", prune)
    site = session.site("hpc")
    staged = session.project.staged / "hpc" / "lab"
    staged.parent.mkdir(parents=True)
    staged.touch()
    decision = Decision(stay={"is used by k3f9": [item]})
    with pytest.raises(DataError, match="data/lab at hpc stays: it is used by k3f9"):
        datasets.remove_at(session, site, "lab", lambda decision: True)
    decision = Decision(remove=[item])
    assert datasets.remove_at(session, site, "lab", lambda decision: False) == []
    assert staged.exists()
    assert datasets.remove_at(session, site, "lab", lambda decision: True) == [item]
    assert not staged.exists()


def test_a_job_that_checks_has_the_program_of_the_image(session: Session) -> None:
    choice = Choice(profile=session.profile("base"), site=session.site("hpc"))
    request = datasets.check_request(choice, "lab", ["a"], parse_resources({"time": "10"}, ()))
    assert request.profile.program == ("python3", "-m", "slam")
    assert request.args == ("--task", "check", "--dataset", "lab", "--sequence", "a")
    assert request.name == "check-lab"


def test_a_container_sees_the_data_and_cannot_write_to_them(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def run(client: object, image: object, command: Any, **options: Any) -> int:
        seen.update(options, command=command)
        options["listen"]("/usr/bin/python3: No module named slam\n")
        return 1

    monkeypatch.setattr("slipway.steps.datasets.engine", MagicMock())
    monkeypatch.setattr("slipway.steps.datasets.find_built", lambda client, profile: None)
    monkeypatch.setattr("slipway.steps.datasets.run_container", run)
    with pytest.raises(Exception, match="the image x has no program that knows datasets, or an older one"):
        datasets.check_here(session.profile("base"), tmp_path / "lab", (), lambda text: None)
    assert seen["command"] == ("python3", "-m", "slam", "--task", "check", "--dataset", "lab")
    assert (seen["mounts"], seen["writable"]) == ({tmp_path / "lab": "/data/lab"}, False)
