"""What is told of one run: its record, what was not committed, its attempts."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipway.code.tree import Entry, Tree
from slipway.job.attempts import Attempt, newest_output, read_attempts_here
from slipway.job.ending import parse_result
from slipway.job.home import Home, write_home
from slipway.job.kept import keep_difference, keep_tree, recall_difference, recall_tree
from slipway.job.run import LOCAL, Status
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.report.patch import FileChange, by_file, summarize
from slipway.report.run_details import run_details
from slipway.scheduler.base import State
from slipway.steps.details import find_details
from slipway.steps.session import Session
from slipway.terminal.run_view import show_details
from slipway.terminal.terminal import Terminal
from slipway.text.shell_line import quote_word, shell_line
from tests.unit.test_run import NOW, make_run

RESULT = {
    "run_id": "k3f9", "task": None, "attempt": 1, "exit_code": 3, "signal": None,
    "reason": "program-error", "start": 1769869530, "end": 1769869931, "node": "node1", "job_id": "7",
}  # fmt: skip
PATCH = """diff --git a/slam/a b.py b/slam/a b.py
index 1..2 100644
--- a/slam/a b.py\t
+++ b/slam/a b.py\t
@@ -1,2 +1,3 @@
 same
--- gone
+++ new
+more
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
diff --git a/x.png b/x.png
index 1..2 100644
GIT binary patch
literal 1
Ic$;+x00961

diff --git a/old.py b/old.py
deleted file mode 100644
--- a/old.py
+++ /dev/null
@@ -1 +0,0 @@
-gone
"""


def write_attempt(folder: Path, **values: Any) -> None:
    (folder / "out").mkdir(parents=True)
    if values:
        (folder / "result.json").write_text(json.dumps(RESULT | values))


def test_a_difference_is_counted_file_by_file() -> None:
    assert summarize(PATCH) == [
        FileChange(name="slam/a b.py", added=2, removed=1),
        FileChange(name="run.sh", added=0, removed=0),
        FileChange(name="x.png", added=None, removed=None),
        FileChange(name="old.py", added=0, removed=1),
    ]
    assert list(by_file("# The difference has 9.0 MB and is not kept\n a.py | 9 +\n")) == []


def test_words_that_are_no_plain_text_are_shown_as_a_shell_reads_them() -> None:
    words = ["a b", "", "it's", "$x", "a\nb", "\udcff'\\n", "é", "\x1b]0;X\x07", "\u202eab", "*"]
    shown = shell_line(words)
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert quote_word("\udcff\n0") == "$'\\xff\\n0'"
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {shown}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert done.stdout == b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)


def test_attempts_that_are_home_are_read_and_nothing_through_links(tmp_path: Path) -> None:
    write_attempt(tmp_path / "attempt-10", reason="ok", exit_code=0)
    write_attempt(tmp_path / "attempt-2")
    write_attempt(tmp_path / "task-3" / "attempt-1", reason="ok")
    (tmp_path / "attempt-3").symlink_to("attempt-10")
    (tmp_path / "attempt-x").mkdir()
    (tmp_path / "attempt-2" / "result.json").write_text("{")
    found = read_attempts_here(tmp_path)
    assert [(one.task, one.number) for one in found] == [(None, 2), (None, 10), (3, 1)]
    assert found[0].result is None
    assert found[1].result is not None
    assert found[1].result.node == "node1"
    assert newest_output(tmp_path) == tmp_path / "attempt-10" / "out"


def test_what_is_kept_here_is_read_back(tmp_path: Path) -> None:
    run, results = make_run("k3f9"), tmp_path / "results"
    assert recall_difference(tmp_path, results, run) is None
    keep_difference(tmp_path, run, None)
    keep_difference(tmp_path, run, "a\udcff")
    assert recall_difference(tmp_path, results, run) == "a\udcff"
    (tmp_path / "runs" / "k3f9.diff").unlink()
    (results / "k3f9").mkdir(parents=True)
    (results / "k3f9" / "code.diff").write_bytes(b"home\xff")
    assert recall_difference(tmp_path, results, run) == "home\udcff"
    tree = Tree(entries={"a\udcff": Entry(kind="file", value="0" * 64), "b": Entry(kind="link", value="a")})
    assert recall_tree(tmp_path, tree.name) is None
    keep_tree(tmp_path, tree)
    assert recall_tree(tmp_path, tree.name) == {"a\udcff": "file " + "0" * 16, "b": "link a"}


def test_everything_of_a_run_is_told() -> None:
    run = replace(
        make_run("k3f9"),
        commit="c0ffee",
        dirty=True,
        job_id="7",
        status=Status(state=State.FAILED, reason="program-error", exit_code=3, elapsed_s=401),
        resources={"time": "5", "cpus": 2, "exclusive": True, "sbatch": ["--comment=a b"], "gpus": None},
        resource_origins={"time": "--time", "cpus": "CPUS in /p/env/.env.cpu:3"},
        profile_values={"image": "slipway-a", "code_dir": "code", "environment": {"TOKEN": "hmac", "A": "b"}},
        parent="b7c4",
    )
    attempts = [Attempt(number=1, result=parse_result(json.dumps(RESULT))), Attempt(number=2)]
    told = run_details(run, attempts=attempts, diff=PATCH, home=Path("/r/k3f9"), root=Path("/p"))
    assert told["resources"] == {
        "time": {"value": "5", "from": "--time"},
        "cpus": {"value": "2", "from": "CPUS in env/.env.cpu:3"},
        "exclusive": {"value": "yes", "from": None},
        "sbatch": {"value": "'--comment=a b'", "from": None},
    }
    assert told["environment"] == ["A", "TOKEN"]
    assert "hmac" not in json.dumps(told)
    assert told["command"] == "python3 -m slam --task 'a b' '' $'\\xed\\xa0\\x80'"
    assert told["code"]["changes"][0] == {"file": "slam/a b.py", "added": 2, "removed": 1}
    assert told["attempts"][0]["start"] == "2026-01-31T14:25:30+00:00"
    assert told["attempts"][1]["reason"] is None
    assert told["again"] == "invoke job --replay k3f9"


def test_a_run_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    run = replace(make_run("k3f9"), status=Status(state=State.RUNNING), args=("a\x1b]0;X\x07",))
    show_details(Terminal(), run_details(run, attempts=[], diff=None, home=None))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    rows = dict(line.split(maxsplit=1) for line in shown.splitlines() if not line.startswith(" "))
    assert rows["command"] == r"python3 -m slam $'a\x1b]0;X\x07'"
    assert rows["attempts"] == "none has begun"
    assert rows["results"] == "box:/s/runs/k3f9"
    assert rows["code"] == "c0de"


def test_results_that_are_home_are_looked_at_without_their_cluster(tmp_path: Path) -> None:
    project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
    session = Session(project=project)
    over = replace(make_run("k3f9"), job_id="7", status=Status(state=State.FAILED, reason="program-error"))
    session.store.save(over)
    write_attempt(project.results / "k3f9" / "attempt-1", exit_code=3)
    write_home(Home(folder=project.results / "k3f9", is_complete=True, brought=NOW))
    # There is no site of this name here, and nobody is asked.
    found = find_details(session, "k3")
    assert found.attempts is not None
    assert [one.number for one in found.attempts] == [1]
    assert found.is_whole


def test_a_cluster_that_cannot_be_asked_is_a_note(tmp_path: Path) -> None:
    notes: list[str] = []

    class Notes(NullProgress):
        def note(self, text: str) -> None:
            notes.append(text)

    project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
    session = Session(project=project, progress=Notes())
    session.store.save(replace(make_run("k3f9"), site="nowhere", job_id="7"))
    found = find_details(session, "k3f9")
    assert (found.attempts, found.home) == (None, None)
    assert "nowhere could not be asked for what is not here: there is no site 'nowhere'" in notes[0]


def test_nothing_of_a_run_of_this_machine_is_to_be_pulled(capsys: pytest.CaptureFixture[str]) -> None:
    run = replace(make_run("k3f9"), site=LOCAL, run_dir="/r/k3f9")
    for home in (Path("/r/k3f9"), None):
        show_details(Terminal(), run_details(run, attempts=[], diff=None, home=home))
        shown = capsys.readouterr().out
        assert "/r/k3f9" in shown
        assert "invoke pull" not in shown
