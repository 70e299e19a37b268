"""What is shown of an output folder: whatever is in it, nothing fails and nothing is followed."""

import json
import os
import socket
from pathlib import Path

import pytest

from slipway.job.output import read_output


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "attempt-1" / "out"
    folder.mkdir(parents=True)
    return folder


def test_figures_are_numbers_and_short_words(out: Path) -> None:
    content = {"rmse": 0.5, "poses": 12, "ok": True, "engine": "colmap", "long": "x" * 100, "deep": {"a": 1}}
    (out / "fig.json").write_text(json.dumps(content))
    (out / "list.json").write_text("[1, 2]")
    output = read_output(out)
    assert output.figures == {"fig": {"rmse": 0.5, "poses": 12, "ok": True, "engine": "colmap"}}
    assert output.notes == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"\xff\xfe{", "no JSON that can be read"),
        (b'{"k": ' + b"9" * 5000 + b"}", "no JSON that can be read"),
        (b'{"k": "' + b"x" * (5 << 20) + b'"}', "larger than 4.2 MB"),
        (b"", "no JSON that can be read"),
        (b"\0" * 100, "no JSON that can be read"),
        (b'{"half": ', "no JSON that can be read"),
    ],
    ids=range(8),
)
def test_a_broken_file_of_figures_is_a_note(out: Path, content: bytes, why: str) -> None:
    (out / "bad.json").write_bytes(content)
    (out / "good.json").write_text('{"a": 1}')
    output = read_output(out)
    assert output.figures == {"good": {"a": 1}}
    (note,) = output.notes
    assert note.startswith("bad.json is not shown as figures: ")
    assert why in note
    assert len(output.listing) == 2


def test_what_is_no_file_is_never_opened(out: Path, tmp_path: Path) -> None:
    """A device without an end, a pipe that nobody writes to, a file of this machine's own, a folder."""
    (tmp_path / "own.json").write_text('{"secret": 1}')
    (out / "zero.json").symlink_to("/dev/zero")
    (out / "own.json").symlink_to(tmp_path / "own.json")
    os.mkfifo(out / "pipe.json")
    (out / "folder.json").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(out)  # a socket's name is short
        try:
            server.bind("socket.json")
        finally:
            os.chdir(here)
        output = read_output(out)
    assert output.figures == {}
    assert len(output.notes) == 5
    assert all("is no regular file" in note for note in output.notes)
    assert output.listing == [f"{out}/own.json -> {tmp_path}/own.json", f"{out}/zero.json -> /dev/zero"]


def test_numbers_without_bound(out: Path) -> None:
    (out / "n.json").write_text('{"inf": 1e999, "nan": NaN, "huge": ' + "9" * 4000 + "}")
    output = read_output(out)
    assert set(output.figures["n"]) == {"inf", "nan"}


def test_links_say_where_they_lead_and_are_not_followed(out: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large").write_bytes(bytes(200_000))
    (out / "file").write_bytes(bytes(1200))
    (out / "sub").mkdir()
    (out / "sub" / "x").write_bytes(bytes(300_000))
    (out / "to folder").symlink_to(tmp_path / "elsewhere")
    (out / "to file").symlink_to(tmp_path / "elsewhere" / "large")
    (out / "gone").symlink_to("nowhere\x1b[2J")
    (out / "circle").symlink_to("circle")
    shown = tmp_path / "run" / "out"
    assert read_output(out, shown).listing == [
        f"{shown}/circle -> circle",
        f"{shown}/file  1.2 kB",
        f"{shown}/gone -> nowhere",
        f"{shown}/to file -> {tmp_path}/elsewhere/large",
        f"{shown}/to folder -> {tmp_path}/elsewhere",
        f"{shown}/sub/x  0.3 MB",
    ]


def test_an_output_that_is_no_folder(out: Path) -> None:
    (out.parent / "log").mkdir()
    shown = out.parents[1] / "out"
    out.rmdir()
    assert read_output(out, shown).listing == []
    out.write_text("x")
    assert read_output(out, shown).listing == []
    out.unlink()
    out.symlink_to("/etc")
    output = read_output(out, shown)
    assert (output.figures, output.listing, output.notes) == ({}, [f"{shown} -> /etc"], [])
    out.parent.rename(out.parents[1] / "real")
    out.parent.symlink_to("/usr")
    assert read_output(out, shown).listing == [f"{out.parent} -> /usr"]


def test_many_files_are_counted(out: Path) -> None:
    for number in range(230):
        (out / f"{number:03}.json").write_text('{"a": 1}')
    output = read_output(out)
    assert len(output.figures) == 20
    assert output.notes == ["210 more JSON files are not shown as figures"]
    assert output.listing[-1] == "… and 30 more, 0.2 kB"
    assert len(output.listing) == 201


def test_many_values_and_names_that_no_terminal_likes(out: Path) -> None:
    (out / "many.json").write_text(json.dumps({str(number): number for number in range(1000)}))
    (out / os.fsdecode(b"latin-\xe9\n.txt")).write_text("x")
    output = read_output(out)
    assert len(output.figures["many"]) == 100
    assert [line.rpartition("/")[2] for line in output.listing] == [
        "latin-\\xe9 .txt  0.0 kB",
        "many.json  11.8 kB",
    ]


def test_a_folder_that_is_very_deep(out: Path) -> None:
    here = Path.cwd()
    os.chdir(out)
    try:
        for _ in range(60):
            Path("d" * 100).mkdir()
            os.chdir("d" * 100)
        Path("file").write_text("x")
    finally:
        os.chdir(here)
    output = read_output(out)
    assert output.listing == []
    assert "cannot be looked through" in output.notes[0]
