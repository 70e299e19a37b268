"""What lies on a cluster: the program that looks through it, under a real shell, and what may go."""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.errors import RemoteError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.record import format_run
from slipway.job.run import Run, Status
from slipway.keep.age import age_column, age_words, parse_age
from slipway.keep.decision import Criteria, Decision, Known, decide
from slipway.keep.removal import Removed, remove_items, show_again, still_needed
from slipway.keep.survey import Item, Survey, Use, Uses, look_again, take_survey
from slipway.progress import NullProgress
from slipway.report.cost_table import cost_rows, removal_lines, total
from slipway.scheduler.base import State

DAY_S = 24 * 3600
NOW_S = 2_000_000_000
SIF = "cpu-0123456789abcdef.sif"


class Here:
    """This machine in the place of the cluster."""

    target = "here"

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.calls = 0

    def stream(self, argv: list[str], on_line: Callable[[str], None], *, stdin: str = "") -> int:
        self.calls += 1
        command = [*argv[:2], self.prefix + argv[2], *argv[3:]]
        done = subprocess.run(
            command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        for line in done.stdout.splitlines():
            on_line(line)
        return done.returncode


def make_run(run_id: str, state: State = State.COMPLETED, days: float = 0, **values: object) -> Run:
    run = Run(
        run_id=run_id,
        site="hpc",
        profile="cpu",
        submitted=datetime.fromtimestamp(NOW_S, timezone.utc) - timedelta(days=days),
        program=("python3",),
        args=(),
        commit=None,
        dirty=False,
        image_id="sha256:0",
        sif=f"/scratch/slipway/images/{SIF}",
        sif_sha256="0",
        code="tree",
        resources={},
        profile_values={"cache": None},
        site_values={},
        run_dir=f"/scratch/slipway/runs/{run_id}",
        status=Status(state=state),
    )
    return replace(run, **values)  # type: ignore[arg-type]


def look(root: Path, prefix: str = "") -> Survey:
    host = cast(Host, Here(prefix))
    return take_survey(host, Scratch(root=PurePosixPath(root)), PurePosixPath(root / "kept"), NullProgress())


def write(path: Path, content: str = "x", age_d: float = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    if age_d:
        then = path.stat().st_mtime - age_d * DAY_S
        os.utime(path, (then, then))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "slipway"
    for kind in ("runs", "images"):
        (root / kind).mkdir(parents=True)
    return root


def test_costs_are_by_item_whatever_names_are(root: Path) -> None:
    write(root / "runs" / "a" / "attempt-1" / "log", "12345", age_d=3)
    write(root / "runs" / "a" / "attempt-1" / "out" / "new\nline T item", "123", age_d=9)
    write(root / "runs" / ".b.gone" / "run.json", "{}")
    write(root / "data" / "my photos" / "1 2.png", "12")
    write(root / "code" / "one" / "main.py", "1234567")
    (root / "code" / "two").mkdir()
    os.link(root / "code" / "one" / "main.py", root / "code" / "two" / "main.py")
    write(root / "images" / SIF, "123456789")
    write(root / "images" / SIF.replace(".sif", ".json"), "1")
    (root / "images" / "cpu.sif").symlink_to(SIF)
    (root / "runs" / "empty").mkdir()
    write(root / "kept" / "runs" / "a" / "log", "1")
    write(root / "kept" / ".sha256" / "runs-a")
    survey = look(root)
    items = {item.path: item for item in survey.scratch}
    costs = {path: (item.files, item.size_bytes) for path, item in items.items() if item.kind != "code"}
    assert costs == {
        "runs/a": (2, 8),
        "runs/b": (1, 2),
        "runs/empty": (0, 0),
        "data/my photos": (1, 2),
        f"images/{SIF}": (2, 10),
    }
    # A file that two snapshots have is there once.
    assert items["code/one"].size_bytes + items["code/two"].size_bytes == 7
    assert "images/cpu.sif" not in items
    assert (items["runs/a"].has_begun, items["runs/empty"].has_begun) == (True, False)
    assert (items["runs/b"].is_hidden, items["runs/a"].is_hidden) == (True, False)
    now = (root / "images" / SIF).stat().st_mtime
    assert abs(now - items["runs/a"].written_s - 3 * DAY_S) < 100
    assert abs(now - (items["runs/a"].unused_s or 0) - 9 * DAY_S) < 100
    assert items["runs/empty"].unused_s is None
    assert survey.uses.newest == {SIF}
    assert abs(now - (survey.now_s or 0)) < 100
    assert (survey.kept, [item.path for item in survey.home]) == ({"runs-a"}, ["runs/a"])
    assert items["runs/a"].owner == survey.user != ""


def test_a_file_that_was_read_is_in_use(root: Path) -> None:
    write(root / "data" / "photos" / "a", age_d=90)
    then = (root / "data" / "photos" / "a").stat().st_mtime
    os.utime(root / "data" / "photos" / "a", (then + 80 * DAY_S, then))
    [photos] = [item for item in look(root).scratch if item.kind == "data"]
    assert (photos.unused_s or 0) - photos.written_s == 80 * DAY_S


def test_what_runs_need_is_in_their_records(root: Path) -> None:
    hostile = f'\n "sif": "/x/{SIF}"\n "code": "other"'
    run = make_run("a", args=(hostile, '"code": "x"'), profile_values={"cache": "nvidia"})
    write(root / "runs" / "a" / "run.json", format_run(run), age_d=1)
    write(root / "runs" / "b" / "run.json", format_run(make_run("b")))
    write(root / "runs" / "c" / "run.json", format_run(make_run("c")))
    write(root / "runs" / "c" / "task-3" / "attempt-1" / "result.json")
    uses = look(root).uses
    assert uses.runs["a"] == Use(sif=SIF, code="tree", cache="nvidia")
    assert uses.runs["b"] == Use(sif=SIF, code="tree")
    assert (uses.young, uses.is_whole) == ({"b"}, True)
    again = look_again(cast(Host, Here()), Scratch(root=PurePosixPath(root)), NullProgress())
    assert again == uses


def test_packed_data_that_runs_need(root: Path) -> None:
    file = "a-0123456789abcdef.sqsh"
    odd = f'  "x": "{file}",'
    packed = {"code": file.replace("a-", "code-"), "b.c": file.replace("a-", "b.c-")}
    run = make_run("a", args=(odd, file), packed=packed)
    write(root / "runs" / "a" / "run.json", format_run(run))
    write(root / "packed" / packed["code"])
    write(root / "packed" / packed["code"].replace(".sqsh", ".json"))
    (root / "packed" / "code.sqsh").symlink_to(packed["code"])
    survey = look(root)
    assert survey.uses.runs["a"] == Use(sif=SIF, code="tree", packed=frozenset(packed.values()))
    assert survey.uses.newest == {packed["code"]}
    assert [one.path for one in survey.scratch if one.kind == "packed"] == [f"packed/{packed['code']}"]


def test_a_record_that_cannot_be_read_is_noticed(root: Path) -> None:
    (root / "runs" / "a" / "run.json").mkdir(parents=True)  # grep cannot read it
    assert not look(root).uses.is_whole


def test_nothing_there_is_no_mistake(tmp_path: Path) -> None:
    survey = look(tmp_path / "none")
    assert ([*survey.scratch], [*survey.home], [*survey.problems], survey.uses) == ([], [], [], Uses())


def test_a_program_that_is_cut_is_noticed(root: Path) -> None:
    with pytest.raises(RemoteError, match="could not be looked through"):
        look(root, prefix="id() { kill $$; }\n")


def item(kind: str, name: str, days: float = 0, **values: object) -> Item:
    made = Item(
        kind=kind, name=name, files=1, size_bytes=1000, owner="me", written_s=int(NOW_S - days * DAY_S)
    )
    return replace(made, **{"has_begun": True, **values})  # type: ignore[arg-type]


def decided(
    criteria: Criteria, items: list[Item], runs: list[Run], uses: Uses | None = None, **known: object
) -> tuple[set[str], dict[str, str]]:
    copies = [item("runs", "kept")]
    survey = Survey(user="me", scratch=items, uses=uses or Uses(), home=copies, kept=frozenset({"runs-kept"}))
    facts = Known(now_s=NOW_S, runs={run.run_id: run for run in runs}, active=frozenset())
    decision = decide(survey, replace(facts, **known), criteria)  # type: ignore[arg-type]
    why = {one.path: reason for reason, some in decision.stay.items() for one in some}
    return {one.path for one in decision.remove}, why


def test_which_packed_data_go() -> None:
    old, new, used, other = (f"{name}-{digit * 16}.sqsh" for name, digit in zip("aaab", "0123", strict=True))
    items = [item("packed", name, owner="me") for name in (old, new, used, other)]
    items += [item("packed", ".a.client.part"), item("data", "a")]
    uses = Uses(
        runs={"waits": Use(packed=frozenset({used})), "over": Use(packed=frozenset({old}))},
        newest=frozenset({new, other}),
    )
    runs = [make_run("over"), make_run("waits", args=("/data/a",))]
    known = {"active": frozenset({"waits"})}
    gone, why = decided(Criteria(kinds=frozenset({"packed"})), items, runs, uses, **known)
    assert gone == {f"packed/{old}"}
    newest = {f"packed/{name}": "is the newest" for name in (new, other)}
    assert why == {**newest, f"packed/{used}": "is used by waits"}
    wanted = Criteria(kinds=frozenset({"packed", "data"}), data=frozenset({"a"}))
    gone, why = decided(wanted, items, runs, uses, **known)
    assert gone == {f"packed/{old}", f"packed/{new}"}
    assert why == {f"packed/{used}": "is used by waits", "data/a": "is used by waits"}
    check = still_needed(uses, frozenset({"waits"}), frozenset(), frozenset({"waits"}))
    assert [check(one) for one in items[:3]] == [None, None, "is used by waits"]


def test_which_runs_go() -> None:
    ids = ("old", "new", "failed", "kept", "active", "young", "unknown")
    runs = [make_run(run_id, days=10) for run_id in ids]
    runs[2] = make_run("failed", State.FAILED, days=40)
    runs[6] = make_run("unknown", State.UNKNOWN, days=40)
    items = [item("runs", run_id, days=40) for run_id in (*ids, "other")]
    items[1] = item("runs", "new", days=2)
    known = {"active": frozenset({"active"}), "home": frozenset({"old", "new", "active", "young", "unknown"})}
    uses = Uses(young=frozenset({"young"}))
    gone, why = decided(Criteria(older_than_s=30 * DAY_S), items, runs, uses, **known)
    assert gone == {"runs/old", "runs/kept"}
    assert why == {
        "runs/new": "is younger than 30d",
        "runs/failed": "has results that are not home; --not-home removes it, too",
        "runs/active": "is queued or running",
        "runs/young": "was submitted just now",
        "runs/unknown": "is UNKNOWN, and not known to be over",
        "runs/other": "is a run of another checkout; --run with its whole id names it",
    }
    everything = Criteria(states=frozenset({State.FAILED}), not_home=True)
    assert decided(everything, items, runs, uses, **known)[0] == {"runs/failed"}
    assert decided(Criteria(runs=frozenset({"other"}), not_home=True), items, runs, uses, **known)[0] == {
        "runs/other"
    }
    # Nothing says which.
    assert decided(Criteria(not_home=True), items, runs, uses, **known)[0] == set()


def test_the_newest_runs_stay() -> None:
    runs = [make_run(f"run{days}", days=days) for days in range(1, 5)]
    items = [item("runs", run.run_id, has_begun=False) for run in runs]
    gone, why = decided(Criteria(keep_last=3), items, runs)
    assert gone == {"runs/run4"}
    assert why["runs/run1"] == "is one of the newest 3"
    # A run that never began has no results that could be lost.


def test_somebody_elses_folder_stays() -> None:
    items = [item("runs", "theirs", owner="other")]
    named = Criteria(runs=frozenset({"theirs"}), not_home=True)
    assert decided(named, items, [])[1] == {"runs/theirs": "belongs to other"}


def test_code_goes_with_its_last_run() -> None:
    runs = [make_run("a", days=40), make_run("b", code="both", days=40), make_run("c", code="both")]
    uses = Uses(runs={run.run_id: Use(sif=SIF, code=run.code) for run in runs})
    items = [item("runs", run.run_id, days=40 * (run.run_id != "c"), has_begun=False) for run in runs]
    code = [item("code", name) for name in ("tree", "both", "none", ".x.part")]
    fresh = item("code", "fresh", arrived_s=NOW_S - 60)
    gone, why = decided(Criteria(older_than_s=30 * DAY_S), [*items, *code, fresh], runs, uses)
    assert gone == {"runs/a", "runs/b", "code/tree", "code/none"}
    assert (why["code/both"], why["code/fresh"]) == ("is the code of c", "came just now")
    blind = decided(Criteria(), [*items, *code], runs, replace(uses, is_whole=False))
    assert blind[0] == set()
    assert blind[1]["code/none"] == "may be used by a run whose record cannot be read"


def test_images_and_caches_that_jobs_use_stay() -> None:
    names = [f"cpu-{digit * 16}.sif" for digit in "0123"]
    runs = [make_run("a", State.RUNNING), make_run("over")]
    uses = Uses(
        runs={
            "a": Use(sif=names[0], cache="hot"),
            "over": Use(sif=names[1], cache="cold"),
            "x": Use(sif=names[3]),
        },
        newest=frozenset({names[2]}),
    )
    items = [item("images", name) for name in (*names, "cpu-0.json", ".cpu.1.part")]
    items += [item("cache", name) for name in ("hot", "cold")]
    items += [item("runs", "x", owner="other")]
    gone, why = decided(Criteria(kinds=frozenset({"images", "cache"})), items, runs, uses)
    assert gone == {f"images/{names[1]}", "cache/cold"}
    assert why == {
        f"images/{names[0]}": "is used by a",
        f"images/{names[2]}": "is the newest",
        # SLURM is not asked for the jobs of others.
        f"images/{names[3]}": "is used by x",
        "cache/hot": "is used by a",
    }


@pytest.mark.parametrize(
    ("args", "stays"),
    [
        (("--dataset", "photos"), True),
        (("--dataset=photos",), True),
        (("/data/photos/a.png",), True),
        (("--dataset", "other"), False),
        # It may read anything.
        (("train",), True),
    ],
)
def test_a_dataset_that_a_job_may_read_stays(args: tuple[str, ...], stays: bool) -> None:
    runs = [make_run("a", State.PENDING, args=args)]
    items = [item("data", "photos"), item("data", "other"), item("runs", "a")]
    criteria = Criteria(kinds=frozenset({"data"}), data=frozenset({"photos"}))
    gone, why = decided(criteria, items, runs, Uses(runs={"a": Use()}))
    assert (gone, why) == ((set(), {"data/photos": "is used by a"}) if stays else ({"data/photos"}, {}))


def test_results_here_that_are_nowhere_else_stay() -> None:
    runs = [make_run(run_id, days=40) for run_id in ("there", "kept", "gone", "going")]
    results = [item("results", run.run_id, days=40) for run in runs]
    items = [item("runs", "there", days=1), item("runs", "going", days=40)]
    criteria = Criteria(kinds=frozenset({"runs", "results"}), older_than_s=30 * DAY_S)
    gone, why = decided(criteria, items, runs, results=results, home=frozenset({"going"}))
    assert gone == {"runs/going", "results/there", "results/kept"}
    nowhere = "is not whole anywhere else; --not-home removes it, too"
    # Not both at once.
    assert (why["results/gone"], why["results/going"]) == (nowhere, nowhere)


def test_a_purged_folder_and_a_removed_copy_hold_nothing() -> None:
    runs = [make_run(run_id, days=40) for run_id in ("purged", "pruned")]
    there = [item("runs", "purged", files=1), item("runs", "pruned", files=3)]
    results = [item("results", run.run_id, files=4) for run in runs]
    criteria = Criteria(kinds=frozenset({"runs", "results"}), keep_last=0)
    # Its list of hashes is left of the copy of the second.
    survey = Survey(user="me", scratch=there, kept=frozenset({"runs-pruned"}))
    known = Known(now_s=NOW_S, runs={run.run_id: run for run in runs}, active=frozenset(), results=results)
    assert not decide(survey, known, criteria).remove
    copy = item("runs", "pruned", files=4)
    gone = decide(replace(survey, home=[copy]), known, criteria).remove
    assert [one.path for one in gone] == ["runs/pruned", "results/pruned"]
    # What a page and the like add to results/ needs no copy.
    known = replace(known, brought={"pruned": (3, 0)})
    gone = decide(survey, known, replace(criteria, kinds=frozenset({"results"}))).remove
    assert [one.path for one in gone] == ["results/pruned"]


def removed(root: Path, items: list[Item], why: Callable[[Item], str | None] | None) -> Removed:
    scratch = Scratch(root=PurePosixPath(root))
    return remove_items(cast(Host, Here()), scratch, items, lambda: why, NullProgress())


def test_what_is_wanted_again_is_shown_again(root: Path) -> None:
    for name in ("a", "b"):
        write(root / "runs" / name / "run.json")
    write(root / "images" / SIF)
    write(root / "images" / SIF.replace(".sif", ".json"))
    items = [item("runs", "a"), item("runs", "b"), item("images", SIF), item("runs", "none")]
    done = removed(root, items, lambda one: "was queued just now" if one.name == "b" else None)
    assert [one.path for one in done.gone] == ["runs/a", f"images/{SIF}"]
    assert [(one.path, why) for one, why in done.kept] == [("runs/b", "was queued just now")]
    assert [(one.path, why) for one, why in done.failed] == [("runs/none", "somebody else has removed it")]
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == [
        "images",
        "runs",
        "runs/b",
        "runs/b/run.json",
    ]


def test_nothing_goes_where_nobody_can_be_asked(root: Path) -> None:
    write(root / "runs" / "a" / "run.json")
    assert removed(root, [item("runs", "a")], None).gone == []
    assert (root / "runs" / "a" / "run.json").exists()

    def cut() -> None:
        raise KeyboardInterrupt

    scratch = Scratch(root=PurePosixPath(root))
    with pytest.raises(KeyboardInterrupt):
        remove_items(cast(Host, Here()), scratch, [item("runs", "a")], cut, NullProgress())
    assert (root / "runs" / "a" / "run.json").exists()


def test_what_is_to_be_removed_is_told_before(root: Path) -> None:
    """So that a record says of a removal that was cut what it has taken from."""
    write(root / "runs" / "a" / "run.json")
    told: list[Item] = []

    def begin(items: Sequence[Item]) -> None:
        told.extend(items)
        raise KeyboardInterrupt

    host, scratch, items = cast(Host, Here()), Scratch(root=PurePosixPath(root)), [item("runs", "a")]
    with pytest.raises(KeyboardInterrupt):
        remove_items(host, scratch, items, lambda: lambda one: None, NullProgress(), begin)
    assert told == items
    assert (root / "runs" / ".a.gone" / "run.json").exists()


def test_what_a_cut_has_hidden_goes_with_the_next(root: Path) -> None:
    write(root / "runs" / ".a.gone" / "run.json")
    write(root / "data" / "photos" / "a")
    write(root / "data" / ".photos.gone" / "a")
    write(root / "data" / ".photos.sha256")
    done = removed(root, [item("runs", "a"), item("data", "photos")], lambda one: None)
    assert len(done.gone) == 2
    assert list((root / "runs").iterdir()) == list((root / "data").iterdir()) == []


def test_what_a_cut_has_hidden_is_shown_again(root: Path) -> None:
    write(root / "runs" / ".a.gone" / "run.json")
    write(root / "runs" / ".b.gone" / "run.json")
    write(root / "runs" / "b" / "run.json", "new")
    scratch, items = Scratch(root=PurePosixPath(root)), [item("runs", "a"), item("runs", "b")]
    assert show_again(cast(Host, Here()), scratch, items, NullProgress()) == items[:1]
    assert (root / "runs" / "a" / "run.json").exists()
    assert (root / "runs" / "b" / "run.json").read_text() == "new"


def test_what_somebody_has_shown_again_is_not_called_removed(root: Path) -> None:
    write(root / "runs" / "a" / "run.json")

    def look() -> Callable[[Item], str | None]:
        (root / "runs" / ".a.gone").rename(root / "runs" / "a")
        return lambda one: None

    done = remove_items(
        cast(Host, Here()), Scratch(root=PurePosixPath(root)), [item("runs", "a")], look, NullProgress()
    )
    assert [why for _, why in done.failed] == ["it is not hidden any more"]
    assert (root / "runs" / "a" / "run.json").exists()


def test_the_second_look() -> None:
    uses = Uses(
        runs={"a": Use(sif="1", code="x"), "b": Use(sif="2", code="y", cache="c")},
        newest=frozenset({"3"}),
        young=frozenset({"b"}),
    )
    why = still_needed(uses, frozenset({"z"}), frozenset({"a"}), frozenset())
    assert why(item("runs", "a")) is None
    assert why(item("runs", "b")) == "was queued just now"
    assert why(item("code", "x")) is None  # its run is going
    assert why(item("code", "y")) == why(item("images", "2")) == why(item("cache", "c")) == "is used by b"
    assert why(item("images", "1")) is None
    assert why(item("images", "3")) == "is the newest by now"
    assert why(item("data", "photos")) == "is used by b"
    assert still_needed(uses, frozenset(), frozenset(), frozenset({"b"}))(item("data", "photos")) is None


def test_what_a_person_sees() -> None:
    items = [
        item("runs", "a", days=1),
        item("runs", "b", days=45, size_bytes=2_500_000_000),
        item("code", "x"),
    ]
    assert cost_rows({"hpc": items}, NOW_S) == [
        ("hpc", "runs", "2", "2", "2.5 GB", "1.0 kB", "", "2.5 GB", ""),
        ("hpc", "code", "1", "1", "1.0 kB", "1.0 kB", "", "", ""),
    ]
    assert total(items) == "2 runs, 1 code snapshot: 3 files, 2.5 GB"
    many = [item("runs", f"r{number}") for number in range(7)]
    decision = Decision(remove=items[:1], stay={"is younger than 30d": many})
    assert removal_lines(decision, {"a": make_run("a", name="rpy")}, NOW_S) == [
        "  goes: run a (rpy) COMPLETED: 24h old, 1 file, 1.0 kB",
        "  stays: r0, r1, r2, r3, r4 and 2 more: is younger than 30d",
    ]


def test_ages() -> None:
    assert [parse_age(text, "--older-than") for text in ("12h", "30d", "2w")] == [
        43200,
        30 * DAY_S,
        14 * DAY_S,
    ]
    assert [age_words(seconds) for seconds in (0, 47 * 3600, 48 * 3600)] == ["0h", "47h", "2d"]
    assert [age_column(days * DAY_S) for days in (0, 7, 89, 90)] == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="--older-than soon: write hours, days or weeks"):
        parse_age("soon", "--older-than")
