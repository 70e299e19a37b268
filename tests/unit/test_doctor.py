"""How `doctor` makes checks, asks many things by one program, and shows what it found."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from slipway.doctor.catalog import CHECKS
from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.examine import examine
from slipway.doctor.finding import Finding, Verdict, failed, ok, skipped, warning
from slipway.doctor.program import compose, parse_answers, shell_path
from slipway.errors import ConfigError
from slipway.model import read_values
from slipway.profile import load_profile
from slipway.project import Project
from slipway.report.diagnosis import diagnosis, summary
from slipway.resources import Resources
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.slurm.site import SlurmSite
from slipway.terminal.doctor_view import diagnosis_lines
from slipway.text.wording import text_width
from tests.mistakes import Block
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
MARK = "0123456789abcdef"
PROJECT = Project(root=ROOT, state=ROOT / ".slipway", results=ROOT / "results")


def site(**more: Any) -> SlurmSite:
    return read_values(
        SlurmSite, {"name": "hpc", "login": {"host": "h"}, "paths": {"scratch": "$SCRATCH"}, **more}
    )


def facts(where: SlurmSite | None = None, **more: Any) -> Facts:
    values = {
        "project": PROJECT,
        "profile": load_profile(ROOT / "env", "cpu"),
        "site": where or site(),
        "request": ResourceRequest(resources=Resources()),
    }
    return Facts(**{**values, **more})


def check(name: str, finding: Finding | Exception, place: Place = Place.HERE, **more: Any) -> Check:
    def look(_: Facts, __: Answer) -> Finding:
        if isinstance(finding, Exception):
            raise finding
        return finding

    return Check(name=name, title=name, place=place, about="", predicts="", look=look, **more)


GOOD, BAD = ok("good"), failed("bad", so="worse", fix="mend it")


# --- Each check by itself


def test_a_check_that_breaks_takes_no_other_with_it() -> None:
    found = examine([check("one", GOOD), check("two", ValueError("oops")), check("three", GOOD)], facts())
    assert [one.finding.verdict for one in found] == [Verdict.OK, Verdict.WARNING, Verdict.OK]
    assert found[1].finding.seen == "the check itself broke: ValueError: oops"


def test_a_check_without_what_it_needs_is_skipped_with_the_reason() -> None:
    found = examine([check("one", ConfigError("the box is not up"))], facts())  # type: ignore[arg-type]
    assert (found[0].finding.verdict, found[0].finding.seen) == (Verdict.SKIPPED, "the box is not up")


def test_what_needs_a_check_that_failed_is_skipped_and_not_passed() -> None:
    found = examine(
        [check("one", BAD), check("two", GOOD, needs=("one",)), check("three", GOOD, needs=("two",))], facts()
    )
    assert [one.finding.verdict.value for one in found] == ["failed", "skipped", "skipped"]
    assert found[1].finding.seen == "it needs “one”, which is not well"


def test_without_a_site_a_cluster_is_skipped() -> None:
    found = examine([check("one", GOOD, Place.THERE)], Facts(project=PROJECT, profile=facts().profile))
    assert found[0].finding == skipped(
        "no site is named: `invoke doctor SITE`, or SITE=NAME in env/.env.local"
    )


def test_without_a_login_nothing_there_is_looked_at() -> None:
    there = [check("login", BAD, Place.THERE), check("one", GOOD, Place.THERE)]
    found = examine(there, facts())
    assert [one.finding.verdict.value for one in found] == ["failed", "skipped"]


def test_a_node_is_looked_at_by_a_job_only() -> None:
    (one,) = examine([check("one", GOOD, Place.NODE)], facts())
    assert one.finding.seen == "only a job sees a node: `invoke doctor hpc --job` submits a short one"


def test_a_script_that_did_not_end_fails_its_check() -> None:
    asked = check("one", GOOD, Place.THERE, ask=lambda _: "true")
    (one,) = examine([asked], facts(answers={"one": Answer(exit_code=None, text="half\n")}))
    assert one.finding.verdict is Verdict.FAILED
    assert "(it said: half)" in one.finding.seen


# --- The catalog


def test_every_check_has_a_name_of_its_own_and_a_short_title() -> None:
    names = [one.name for one in CHECKS]
    assert len(set(names)) == len(names) > 30
    assert [one.title for one in CHECKS if len(one.title) > 18] == []


def test_what_a_check_needs_stands_before_it() -> None:
    seen: set[str] = set()
    for one in CHECKS:
        assert set(one.needs) <= seen, one.name
        seen.add(one.name)


def test_the_document_has_all_checks() -> None:
    where = {Place.HERE: "this machine", Place.THERE: "login node", Place.NODE: "a node (`--job`)"}
    rows = [
        f"| {where[one.place]} | {one.title} | `{one.name}` | {one.about} | {one.predicts} |"
        for one in CHECKS
    ]
    header = ["| where | check | name | what it looks at | what fails otherwise |", f"|{' --- |' * 5}"]
    Block("doctor.md", "checks").check([*header, *rows])


# --- One program


def run(
    scripts: dict[str, str], where: SlurmSite | None = None, limit_s: int = 60, **env: str
) -> dict[str, Answer]:
    text = compose(scripts, where or site(), MARK, limit_s)
    done = subprocess.run(
        ["bash", "-c", text],
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    answers = parse_answers(done.stdout, MARK)
    assert answers is not None, done
    return answers


def test_each_script_answers_for_itself() -> None:
    scripts = {
        "one": "echo out; echo err >&2",
        "two": "exit 7",
        "three": "no-such-program",
        "four": "cd /; set -e; false",
    }
    answers = run(scripts)
    assert answers["one"] == Answer(exit_code=0, text="out\nerr\n")
    assert [answers[name].exit_code for name in scripts] == [0, 7, 127, 1]
    assert "not found" in answers["three"].text


def test_a_script_that_hangs_keeps_no_other_from_being_heard_and_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    answers = run({"slow": f"echo begun; sleep 600; touch {tmp_path}/end", "quick": "echo done"}, limit_s=2)
    assert answers["slow"] == Answer(exit_code=None, text="begun\n")
    assert answers["quick"] == Answer(exit_code=0, text="done\n")
    assert time.monotonic() - began < 60
    left = subprocess.run(
        ["pgrep", "-f", f"touch {tmp_path}/end"], capture_output=True, text=True, check=False
    )
    assert left.stdout == ""


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    run({"one": "true"}, XDG_RUNTIME_DIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_where_nobody_listens_any_more(tmp_path: Path) -> None:
    text = compose({"one": "sleep 1; echo much; head -c 100000 /dev/zero"}, site(), MARK, 60)
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        env = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)}
        subprocess.run(["bash", "-c", text], env=env, stdout=theirs, timeout=PATIENCE_S, check=False)
    finally:
        os.close(theirs)
    assert list(tmp_path.iterdir()) == []


def test_what_start_files_have_set_is_no_matter(tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.write_text("set -euC -o pipefail; shopt -s failglob; IFS=,; alias cat=false; echo Welcome\n")
    answers = run(
        {"one": 'echo "$unset"; false | true; for one in a b; do echo $one; done'}, BASH_ENV=str(start)
    )
    assert answers["one"] == Answer(exit_code=0, text="\na\nb\n")


def test_a_cut_answer_is_none() -> None:
    assert parse_answers("noise\n", MARK) is None
    assert parse_answers(f"\n{MARK} one 0\nout\n", MARK) is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("/scratch/ada", "/scratch/ada"),
        ("$SCRATCH", "/s p"),
        ("$SCRATCH/x", "/s p/x"),
        ("/a/${USER_NAME}-b", "/a/ada-b"),
        ("$NONE/x", "/x"),
        ("/a/$(touch /tmp/never)", "/a/$(touch /tmp/never)"),
        ("/a/`id`", "/a/`id`"),
    ],
)
def test_a_path_is_filled_in_and_nothing_in_it_is_run(written: str, expected: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"printf %s {shell_path(written)}"],
        env={"SCRATCH": "/s p", "USER_NAME": "ada"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == expected


def test_the_sites_lines_are_run_as_in_a_job() -> None:
    where = site(before="export MINE=yes\nfalse\n")
    assert run({"one": "load_site && echo $MINE"}, where)["one"] == Answer(exit_code=0, text="yes\n")


# --- What is shown


def told() -> dict[str, Any]:
    bad = failed(
        "/scratch/ada/a/very/long/path does not exist and cannot be made: Permission denied",
        so="`invoke push` would be refused",
        fix="correct paths.scratch in cluster/hpc.yaml, or ask the site for a folder of yours there",
    )
    checks = [
        check("docker", GOOD),
        check("rsync", warning("too old", so="files go by SFTP", fix="`sudo apt install rsync`")),
        check("login", ok("ada@h:22"), Place.THERE),
        check("scratch", bad, Place.THERE),
        check("room", GOOD, Place.THERE, needs=("scratch",)),
        check("gpu", GOOD, Place.NODE),
        check("driver", GOOD, Place.NODE),
    ]
    return diagnosis(examine(checks, facts()), site="hpc", profile="cpu")


def test_what_is_well_is_a_line_and_what_is_not_says_what_to_do() -> None:
    lines = [line.plain for line in diagnosis_lines(told(), 80)]
    assert lines == [
        "This machine",
        "  ✓ docker   good",
        "  ! rsync    too old",
        "      so: files go by SFTP",
        "      fix: `sudo apt install rsync`",
        "",
        "hpc, by its login node",
        "  ✓ login    ada@h:22",
        "  ✗ scratch  /scratch/ada/a/very/long/path does not exist and cannot be made:",
        "             Permission denied",
        "      so: `invoke push` would be refused",
        "      fix: correct paths.scratch in cluster/hpc.yaml, or ask the site for a",
        "           folder of yours there",
        "  - room     skipped, because it needs “scratch”, which is not well",
        "",
        "A node of hpc",
        "  - skipped, because only a job sees a node: `invoke doctor hpc --job` submits a",
        "    short one",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_lines_fit(width: int) -> None:
    plain = [line.plain for line in diagnosis_lines(told(), width)]
    assert [
        line for line in plain if text_width(line) > width and "`" not in line and "/scratch" not in line
    ] == []


def test_hostile_words_are_not_obeyed() -> None:
    hostile = diagnosis(
        examine([check("one", failed("a\x1b]0;X\x07\nb", so="", fix=""))], facts()), site=None, profile="x"
    )
    text = "".join(line.plain for line in diagnosis_lines(hostile, 80))
    assert "\x1b" not in text
    assert "\n" not in text


def test_values_are_json() -> None:
    values = json.loads(json.dumps(told()))
    assert (values["ok"], values["warning"], values["failed"], values["skipped"]) == (2, 1, 1, 3)
    assert values["checks"][1] == {
        "name": "rsync",
        "title": "rsync",
        "where": "here",
        "verdict": "warning",
        "seen": "too old",
        "consequence": "files go by SFTP",
        "fix": "`sudo apt install rsync`",
    }
    assert summary({"ok": 3, "warning": 0, "failed": 0, "skipped": 0}) == "nothing would fail"
