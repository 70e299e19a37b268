"""What differs between two runs: each part of what they were made of, and nothing that is equal."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipway.code.tree import Entry, Tree
from slipway.errors import UsageError
from slipway.job.flat import flatten
from slipway.job.kept import keep_tree
from slipway.job.run import Run, Status
from slipway.project import Project
from slipway.report.run_diff import Side, by_option, run_diff
from slipway.scheduler.base import State
from slipway.steps.compare import compare_commits, find_pair
from slipway.steps.session import Session
from slipway.terminal.diff_view import show_diff
from slipway.terminal.terminal import Terminal
from tests.unit.test_replay import git
from tests.unit.test_run import make_run
from tests.unit.test_run_details import PATCH
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
OVER = Status(state=State.COMPLETED, reason="ok", exit_code=0)


def a_run(run_id: str, **values: Any) -> Run:
    return replace(make_run(run_id), **{"status": OVER, **values})


def differences(a: Side, b: Side) -> list[tuple[Any, ...]]:
    rows = run_diff(a, b)["differences"]
    return [tuple(row.values()) for row in rows]


def of_runs(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[Any, ...]]:
    return differences(Side(run=a_run("a", **a)), Side(run=a_run("b", **b)))


def test_equal_runs_say_so() -> None:
    figures = {"eval": {"rmse": float("nan"), "frames": 3}}
    found = run_diff(Side(run=a_run("a"), figures=figures), Side(run=a_run("b"), figures=figures))
    assert found["equal"]
    assert found["differences"] == found["not_compared"] == []
    assert json.dumps(found)


def test_arguments_are_compared_by_option() -> None:
    a = (
        "infer",
        "--dataset",
        "room",
        "--stride=2",
        "-v",
        "--set",
        "a",
        "--set",
        "b",
        "--neg",
        "-3",
        "--",
        "--x",
    )
    b = ("infer", "--stride", "3", "-v", "--dataset=room", "--set", "a", "--neg", "-3", "--fast", "--", "--x")
    assert by_option(a) == {
        "word 1": ("infer",), "--dataset": ("room",), "--stride": ("2",), "-v": (None,),
        "--set": ("a", "b"), "--neg": ("-3",), "word 2": ("--x",),
    }  # fmt: skip
    assert of_runs({"args": a}, {"args": b}) == [
        ("arguments", "--stride", "2", "3"),
        ("arguments", "--set", "a b", "a"),
        ("arguments", "--fast", None, ""),
    ]
    assert of_runs({"args": ("--a", "1", "--b")}, {"args": ("--b", "--a=1")}) == [
        ("arguments", "order or spelling", "--a 1 --b", "--b --a=1")
    ]
    assert of_runs({"args": ("a\nb",)}, {"args": ("\udcff", "c d")}) == [
        ("arguments", "word 1", "$'a\\nb'", "$'\\xff'"),
        ("arguments", "word 2", None, "'c d'"),
    ]


def test_values_of_variables_are_told_only_as_same_or_different() -> None:
    a = {"environment": {"SAME": "h1", "OTHER": "h2", "GONE": "h3", "OLD": "***"}}
    b = {"environment": {"SAME": "h1", "OTHER": "h4", "NEW": "h5", "OLD": "h6"}}
    found = run_diff(
        Side(run=a_run("a", profile_values=a), figures={}), Side(run=a_run("b", profile_values=b), figures={})
    )
    assert [tuple(row.values()) for row in found["differences"]] == [
        ("environment", "GONE", "set", None),
        ("environment", "NEW", None, "set"),
        ("environment", "OTHER", "a value", "another value"),
    ]
    assert found["not_compared"] == ["values of OLD: an older record has only the names"]


def test_code_is_compared_file_by_file() -> None:
    one, other = a_run("a", code="1", commit="c1"), a_run("b", code="2", commit="c2", dirty=True)
    trees = {"a.py": "file 1", "gone": "file 2"}, {"a.py": "file 3", "new": "link x"}
    a, b = Side(run=one, tree=trees[0]), Side(run=other, tree=trees[1], diff=PATCH)
    assert differences(a, b) == [
        ("code", "commit", "c1", "c2"),
        ("code", "not committed", "nothing", "4 files"),
        ("code", "hash", "1", "2"),
        ("files", "a.py", "file 1", "file 3"),
        ("files", "gone", "file 2", None),
        ("files", "new", None, "link x"),
    ]
    # Without that, of one commit, by what was not committed.
    same = replace(other, commit="c1")
    assert [row[1] for row in differences(replace(a, tree=None), replace(b, run=same))][2:] == [
        "slam/a b.py", "run.sh", "x.png", "old.py",
    ]  # fmt: skip
    told = run_diff(replace(a, tree=None, figures={}), replace(b, figures={}))["not_compared"]
    assert told == ["the code file by file: what an older run's code had is not kept here"]


def test_all_else_that_a_run_is_made_of_is_compared() -> None:
    a = {
        "sif": "/s/images/a-1.sif",
        "resources": {"time": "10", "cpus": 1, "sbatch": []},
        "profile_values": {"cache": None, "mount_home": False, "program": ["x"], "image": "a"},
        "site_values": {"container": {"flags": ["--nv"]}, "grace_s": 120},
    }
    b = {
        "sif": "/elsewhere/images/a-2.sif",
        "sif_sha256": "2",
        "program": ("sh", "-c", "true"),
        "resources": {"time": "20", "cpus": 1, "gpus": "1", "sbatch": ["--nice=1"]},
        "profile_values": {"cache": "pip", "mount_home": True, "program": ["y"], "image": "a"},
        "site_values": {"container": {"flags": []}, "grace_s": 120},
        "status": Status(state=State.FAILED, reason="time-limit", exit_code=1),
        "profile": "gpu",
        "site": "hpc",
    }
    assert of_runs(a, b) == [
        ("image", "file", "a-1.sif", "a-2.sif"),
        ("image", "sha256", "1", "2"),
        ("program", "program", "python3 -m slam", "sh -c true"),
        ("resources", "time", "10", "20"),
        ("resources", "gpus", None, "1"),
        ("resources", "sbatch", None, "--nice=1"),
        ("profile", "name", "cpu", "gpu"),
        ("profile", "mount_home", "false", "true"),
        ("profile", "cache", None, "pip"),
        ("site", "container.flags", '["--nv"]', None),
        ("site", "name", "box", "hpc"),
        ("ending", "state", "COMPLETED", "FAILED"),
        ("ending", "reason", "ok", "time-limit"),
        ("ending", "exit code", 0, 1),
    ]


def test_the_same_time_and_memory_otherwise_written_are_equal() -> None:
    a = {"resources": {"time": "0:10:00", "mem": "2G", "cpus": 1}}
    b = {"resources": {"time": "10", "mem": "2048M", "cpus": 1}}
    assert of_runs(a, b) == []
    odd = {"resources": {"time": "soon", "mem": None, "cpus": 1}}
    assert of_runs(a, odd) == [("resources", "time", "0:10:00", "soon"), ("resources", "mem", "2G", None)]


def test_figures_stand_side_by_side() -> None:
    a = Side(run=a_run("a"), figures={"eval": {"rmse": 0.5, "name": "x", "same": 1, "whole": True}})
    b = Side(run=a_run("b"), figures={"eval": {"rmse": 0.75, "name": "y", "same": 1, "whole": False, "n": 3}})
    assert differences(a, b) == [
        ("figures", "eval.rmse", 0.5, 0.75, 0.25),
        ("figures", "eval.name", "x", "y"),
        ("figures", "eval.whole", True, False),
        ("figures", "eval.n", None, 3),
    ]
    array = replace(b, run=a_run("b", task_indices=(0, 1)))
    told = run_diff(replace(a, figures=None), array)["not_compared"]
    assert told == [
        "figures: the results of a are not home; `invoke pull a` brings them",
        "figures: b is an array, whose tasks have figures of their own",
    ]


def test_what_differs_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    a, b = a_run("a", args=("--s", "1"), code="1"), a_run("b", args=("--s", "\x1b]0;X\x07", "-v"), code="2")
    trees = {"x": "file 1", "y": "file 1"}, {"x": "file 2", "z": "file 1"}
    found = run_diff(
        Side(run=a, tree=trees[0], figures={"f": {"n": 1}}),
        Side(run=b, tree=trees[1], figures={"f": {"n": 1.5}}),
    )
    show_diff(Terminal(), found)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines[0] == "A a box COMPLETED"
    for line in ("x differs", "y only in A", "z only in B", "-v - given", "f.n 1 1.5 +0.5"):
        assert line in lines
    show_diff(Terminal(), run_diff(Side(run=a), Side(run=a_run("b", args=("--s", "1"), code="1"))))
    assert "They are equal in all that was compared" in capsys.readouterr().out


def test_nested_values_become_one_level() -> None:
    assert flatten({"a": {"b": [1], "c": None, "d": {}}, "e": "", "f": False, "g": ["x", 1]}) == {
        "a.b": "[1]",
        "f": "false",
        "g": '["x", 1]',
    }


def test_two_runs_are_found_and_compared_here(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    commits = []
    for text in ("one", "two"):
        (tmp_path / "file.py").write_text(text)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", text)
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True)
        commits.append(done.stdout.decode().strip())
    project = Project(root=tmp_path, state=tmp_path / ".slipway", results=tmp_path / "results")
    session = Session(project=project)
    trees = [Tree(entries={"file.py": Entry(kind="file", value=digit * 64)}) for digit in "12"]
    for run_id, tree, commit, parent in zip(("aaaa", "bbbb"), trees, commits, (None, "aaaa"), strict=True):
        keep_tree(project.state, tree)
        session.store.save(a_run(run_id, code=tree.name, commit=commit, parent=parent))
        out = project.results / run_id / "attempt-1" / "out"
        out.mkdir(parents=True)
        (out / "eval.json").write_text(json.dumps({"rmse": len(run_id), "of": run_id}))
    a, b = find_pair(session, ["aa", "bb"])
    assert a.tree == {"file.py": "file " + "1" * 16}
    assert b.figures == {"eval": {"rmse": 4, "of": "bbbb"}}
    assert find_pair(session, ["bb"]) == (a, b)
    stat = compare_commits(session, a.run, b.run)
    assert stat is not None
    assert "1 file changed" in stat
    assert compare_commits(session, a.run, replace(b.run, commit="0" * 40)) is None
    for prefixes in ([], ["aa"], ["aa", "aaaa"], ["aa", "bb", "aa"]):
        with pytest.raises(UsageError, match="name two runs"):
            find_pair(session, prefixes)


def test_the_task_ends_with_0_whatever_differs(tmp_path: Path) -> None:
    session = Session(project=Project(root=ROOT, state=tmp_path, results=tmp_path / "results"))
    for run_id, code in (("aaaa", "1"), ("bbbb", "2")):
        session.store.save(a_run(run_id, code=code))
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "runs.diff", "aa", "bb", "--json"],
        cwd=ROOT,
        env={**os.environ, "SLIPWAY_STATE": str(tmp_path), "SLIPWAY_RESULTS": str(tmp_path / "results")},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert json.loads(done.stdout)["differences"] == [{"part": "code", "key": "hash", "a": "1", "b": "2"}]
