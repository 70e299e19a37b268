"""Records of runs: each version is read for ever, and whatever stands in a file, reading it can only fail."""

import copy
import json
from dataclasses import replace
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.job.record import PLAIN_VERSION, VERSION, NewerRecordError, _validated, format_run, parse_run
from slipway.job.run import Run, Status
from slipway.job.secret import keyed_hash
from slipway.jsontext import load_json
from slipway.plain import read_plain
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.scheduler.usage import GpuUse, Usage
from tests.unit.test_run import make_run

DATA = Path(__file__).parent / "data"
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["1", "9" * 5000])
)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
KEYS = sorted(json.loads(format_run(make_run("k3f9"), local=True)))


def values() -> dict[str, Any]:
    return dict(json.loads(format_run(make_run("k3f9"))))


def test_version_1_is_read() -> None:
    run = parse_run((DATA / "run-1.json").read_bytes())
    assert (run.run_id, run.site, run.job_id) == ("k3f9-cpu-20260131-142530", "box", "4711")
    assert run.args == ("--task", "infer", "--dataset", "a b\n", "\udcff")
    assert run.submitted.isoformat() == "2026-01-31T14:25:30+00:00"
    assert (run.status.state, run.status.reason, run.status.exit_code) == (State.FAILED, "program-error", 3)
    assert list(run.tasks) == [0, 1, 2, 3]
    written = format_run(run)
    assert json.loads(written)["version"] == PLAIN_VERSION
    # It had them whole, but for names that look secret.
    assert json.loads(written)["profile_values"]["environment"] == dict.fromkeys(
        ("MODE", "WANDB_API_KEY", "DB_PWD"), "***"
    )
    assert "hunter2" not in written
    assert "HF_TOKEN" not in written


def test_tasks_and_the_parent_are_read_back() -> None:
    tasks = {
        0: Status(state=State.FAILED, exit_code=3),
        7: Status(state=State.PENDING, pending_reason="Priority"),
    }
    run = replace(make_run("k3f9"), task_indices=(0, 7), task_statuses=tasks, parent="b7c4")
    assert parse_run(format_run(run)) == run
    assert parse_run((DATA / "run-1.json").read_bytes()).status.native_state == "FAILED"


def test_there_is_a_sample_of_each_version() -> None:
    samples = {int(file.stem.removeprefix("run-")) for file in DATA.glob("run-*.json")}
    assert samples == set(range(1, VERSION + 1))
    for version in samples:
        text = (DATA / f"run-{version}.json").read_text()
        assert json.loads(text).get("version", 1) == version
        assert parse_run(format_run(parse_run(text), local=True)) == parse_run(text)


def test_what_a_newer_slipway_added_is_kept() -> None:
    text = json.dumps({**values(), "colour": {"a": [1]}, "unknown": 2, "submitted_by": "\ud800"})
    run = parse_run(text)
    assert replace(run, unknown={}) == make_run("k3f9")
    kept = json.loads(format_run(replace(run, job_id="8")))
    assert (kept["colour"], kept["unknown"], kept["submitted_by"]) == ({"a": [1]}, 2, "\ud800")
    assert kept["job_id"] == "8"


def test_a_record_has_no_secrets() -> None:
    run = replace(
        make_run("k3f9"),
        args=(
            "--repo",
            "https://me:s3cret@h/x?a=b@c",
            "git=ssh://git@h/x and HTTP://s3cret@h",
            "ftp://a:s3cret@h",
        ),
        profile_values={"droid_slam_repo": "https://s3cret@h/x.git", "list": [{"a": "x://u:s3cret@"}]},
        site_values={
            "before": "export TOKEN=s3cret",
            "container": {"flags": ("--env", "A=s3cret", "--env=B=s3cret", "--nv")},
        },
        status=Status(state=State.FAILED, note="cannot reach http://u:s3cret@proxy:3128"),
        unknown={"s": ["http://u:s3cret@proxy"]},
    )
    for text in (format_run(run), format_run(run, local=True)):
        assert "s3cret" not in text
    kept = parse_run(format_run(run))
    assert kept.args == (
        "--repo",
        "https://***@h/x?a=b@c",
        "git=ssh://git@h/x and HTTP://***@h",
        "ftp://a:***@h",
    )
    assert kept.site_values == {
        "before": "***",
        "container": {"flags": ["--env", "***", "--env=***", "--nv"]},
    }
    # The run itself, from which the job is made, has them.
    assert run.args[1] == "https://me:s3cret@h/x?a=b@c"


def test_a_keyed_hash_tells_only_changes() -> None:
    one = keyed_hash(b"key", "TOKEN", "value")
    assert one == keyed_hash(b"key", "TOKEN", "value")
    others = {
        keyed_hash(b"key", "TOKEN", "value2"),
        keyed_hash(b"key", "OTHER", "value"),
        keyed_hash(b"yek", "TOKEN", "value"),
    }
    assert len({one, *others}) == 4
    assert keyed_hash(b"key", "TOKEN", "\udcff").startswith("hmac-sha256:")


def test_the_key_is_made_once_and_is_ones_own(tmp_path: Path) -> None:
    project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path)
    assert len(project.key) == 64
    assert project.key == project.key
    assert (tmp_path / "state" / "key").stat().st_mode & 0o777 == 0o600
    assert project.key != project.client.encode()
    assert sorted(file.name for file in (tmp_path / "state").iterdir()) == ["client", "key"]


def test_a_newer_version_is_not_guessed_at() -> None:
    with pytest.raises(NewerRecordError, match=f"version 99; this one reads up to {VERSION}"):
        parse_run(json.dumps({**values(), "version": 99}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("resources", "x"),
        ("args", [1.5]),
        ("args", "abc"),
        ("submitted", "2026-01-31T14:25:30"),
        ("submitted", "0001-01-01T00:00:00+00:00"),
        ("version", "2"),
        ("version", True),
        ("version", 0),
        ("run_id", "../k3f9"),
        ("run_id", ""),
        ("run_dir", "/"),
        ("run_dir", "s/runs/k3f9"),
        ("run_dir", "/s\n/runs/k3f9"),
        ("job_id", "-u me"),
        ("job_id", 7),
        ("status", {"state": "LOST"}),
        ("status", {"state": "FAILED", "exit_code": 10**4000}),
        ("status", None),
        ("resources", {"array": "0-9:0"}),
        ("resources", {"array": "0-99999999999"}),
        ("resources", {"array": "0-99999999999999999999999"}),
        ("resources", {"array": ""}),
        ("resources", {"array": "9-0"}),
        ("resources", {"array": "\u00b2"}),
        ("resources", {"array": 5}),
        ("site_values", {"scheduler": "abacus"}),
    ],
)
def test_values_of_wrong_types_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_run(json.dumps({**values(), key: value}))


def test_a_record_that_is_cut_anywhere_is_refused() -> None:
    text = format_run(make_run("k3f9"))
    for end in range(len(text) - 1):
        with pytest.raises(ValueError, match=r".+"):
            parse_run(text[:end])


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "1e999", "NaN", "-Infinity", "\0" * 100, b"\xff\xfe"],
)
def test_json_that_would_break_its_reader_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        load_json(text)


@given(st.binary() | st.text())
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_run(text)


@given(st.sampled_from(KEYS), JSON)
def test_any_value_is_read_or_refused(key: str, value: object) -> None:
    try:
        run = parse_run(json.dumps({**values(), key: value}))
    except ValueError:
        return
    assert parse_run(format_run(run, local=True)) == run
    assert len(run.tasks) > 0


@given(st.sampled_from(sorted(values()["status"])), JSON)
def test_any_status_is_read_or_refused(key: str, value: object) -> None:
    status = {**values()["status"], key: value}
    try:
        run = parse_run(json.dumps({**values(), "status": status}))
    except ValueError:
        return
    assert parse_run(format_run(run)) == run


USE = {"mean_utilization_percent": 50.0, "peak_memory_mb": 1.5, "mean_power_w": None}
USAGE = Usage(attempts=2, elapsed_s=7, cpu_s=3.5, core_s=4.0, gpu_use=(GpuUse(gpu=0, samples=3, **USE),))
WHOLE = replace(
    make_run("k3f9"),
    args=("ä", "\udcff"),
    status=Status(state=State.FAILED, reason="ok", exit_code=3),
    task_indices=(0, 7),
    task_statuses={0: Status(state=State.FAILED), 7: Status(state=State.PENDING, node="n[1-3]")},
    usage=USAGE,
    task_usages={0: USAGE},
    elements={0: {"a": "\udcff"}, 7: {}},
    bundles={0: ((0, 7),)},
    minutes={0: 5},
    resources={"time": "1:00:00", "array": "0,7"},
    packed={"room": "room-1.sqsh"},
    session="tty",
    submitted=make_run("k3f9").submitted.replace(microsecond=120),
)


def known(run: Run) -> dict[str, Any]:
    found = {
        key: value
        for key, value in json.loads(format_run(run, local=True)).items()
        if key not in ("version", "checksum")
    }
    return {**found, "unknown": {}}


@pytest.mark.parametrize("run", [make_run("k3f9"), WHOLE])
def test_a_record_as_it_is_written_needs_no_pydantic(run: Run) -> None:
    plain = read_plain(Run, known(run))
    assert plain is not None
    assert repr(plain) == repr(run)
    assert plain == _validated(known(run))


PLACES = [(key,) for key in KEYS if key not in ("version", "checksum")] + [
    ("status", "exit_code"),
    ("status", "state"),
    ("usage", "cpu_s"),
    ("usage", "attempts"),
    ("minutes", "0"),
]
ODD = st.sampled_from(
    [
        1 << 40,
        (1 << 40) + 1,
        1 << 62,
        -1,
        0.0,
        1.0,
        float("nan"),
        "2026-01-31T14:25:30+00:00",
        "2026-01-31T14:25:30",
        "2026-02-31T14:25:30+00:00",
        "2026-01-31T14:25:30Z",
        ["a"],
        [1],
        {"1": 1},
        {"01": 1},
        {"a": "b"},
        {"a": "\udcff"},
        {"\udcff": "a"},
        {"\u00e4": 1},
        {"1": {"state": "FAILED"}},
        {"1": [[1, 2], []]},
        {"state": "FAILED", "more": 1},
        "FAILED",
    ]
)


@given(st.sampled_from(PLACES), ODD | JSON)
def test_what_is_read_without_pydantic_is_what_pydantic_reads(place: tuple[str, ...], value: Any) -> None:
    values = known(WHOLE)
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    plain = read_plain(Run, copy.deepcopy(values))
    if plain is not None:
        checked = _validated(values)
        # Pydantic has a time zone of its own.
        utc = replace(checked, submitted=checked.submitted.astimezone(timezone.utc))
        assert repr(plain) == repr(utc)


def test_a_byte_that_has_changed_is_noticed() -> None:
    written = format_run(make_run("k3f9"), local=True).encode()
    whole = parse_run(written)
    unnoticed = []
    for at in range(len(written)):
        for flip in (0x01, 0x10):
            changed = written[:at] + bytes([written[at] ^ flip]) + written[at + 1 :]
            try:
                read = parse_run(changed)
            except ValueError:
                continue
            # Around the checksum itself there are bytes that say nothing.
            if replace(read, unknown={}) != whole:
                unnoticed.append((at, flip))
    assert unnoticed == []


def test_a_checksum_that_an_older_slipway_has_kept_says_nothing() -> None:
    """It writes keys that it does not know behind all others."""
    values = json.loads(format_run(make_run("k3f9"), local=True))
    checksum = values.pop("checksum")
    text = json.dumps({**values, "site": "lab", "checksum": checksum}, indent=1)
    read = parse_run(text)
    assert (read.site, read.unknown) == ("lab", {})


def test_a_record_without_a_checksum_is_read() -> None:
    assert parse_run(format_run(make_run("k3f9"))) == make_run("k3f9")
