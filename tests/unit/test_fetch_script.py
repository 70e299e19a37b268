"""Datasets that a login node fetches by itself: cluster/fetch.sh under real bash, and what is told of it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest

from slipway.dataset.catalog import Dataset, load_catalog
from slipway.dataset.fetch import Fetched
from slipway.dataset.fetch_there import FetchThere
from slipway.dataset.manifest import parse_manifest
from slipway.errors import DownloadError, RemoteError, RemoteSpaceError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.progress import NullProgress
from slipway.shell import Result
from tests.unit.test_dataset_fetch import FILES, content, tgz, zipped
from tests.unit.web_files import WebFiles, serve_files

SCRIPT = Path(__file__).parents[2] / "cluster" / "fetch.sh"


class Here:
    """This machine in the place of a login node, with some programs and no others."""

    target, runs_commands = "login", True

    def __init__(self, programs: Path | None = None) -> None:
        self.environment = {**os.environ, "HOME": "/nonexistent"}
        if programs:
            self.environment["PATH"] = str(programs)

    def require_commands(self) -> None:
        pass

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        done = subprocess.run(argv, input=stdin or "", capture_output=True, text=True, check=False)
        return Result(argv=tuple(argv), exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def check(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        done = self.run(argv, stdin=stdin)
        assert done.ok, done.stderr
        return done

    def stream(self, argv: Sequence[str], on_line: Callable[[str], None], *, stdin: str = "") -> int:
        # A login shell would set PATH anew.
        words = [word for word in argv if word != "-l"]
        done = subprocess.run(
            [shutil.which(words[0]) or words[0], *words[1:]],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for line in done.stdout.splitlines():
            on_line(line)
        return done.returncode


@pytest.fixture
def web() -> Iterator[WebFiles]:
    with serve_files() as server:
        yield server


def dataset(folder: Path, web: WebFiles, **sequences: Any) -> Dataset:
    file = folder / "datasets.yaml"
    entry = {"layout": "tum", "base": f"{web.url}/", "sequences": sequences}
    file.write_text(json.dumps({"lab": entry}))
    return load_catalog([file])["lab"]


def run(root: Path, one: Dataset, *names: str, host: Here | None = None) -> Fetched:
    (root / "data").mkdir(parents=True, exist_ok=True)
    there = FetchThere(
        host=cast(Host, host or Here()),
        scratch=Scratch(root=PurePosixPath(root)),
        script=SCRIPT.read_text(),
        dataset=one,
        progress=NullProgress(),
        by_hand="By hand.",
    )
    return there.run(names or tuple(one.sequences))


def programs(folder: Path, *without: str) -> Path:
    """A PATH on which some programs are missing."""
    folder.mkdir()
    for place in ("/bin", "/usr/bin"):
        for path in Path(place).iterdir():
            if path.name not in without and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return folder


def test_the_script_passes_shellcheck() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    subprocess.run([str(checker), "--shell=bash", str(SCRIPT)], check=True)


@pytest.mark.parametrize("missing", [(), ("curl",), ("curl", "wget"), ("flock", "unzip")])
def test_what_is_fetched_is_as_if_it_was_staged(
    tmp_path: Path, web: WebFiles, missing: tuple[str, ...]
) -> None:
    web.files |= {"/seq.tgz": tgz(FILES), "/mh.zip": zipped({"mav0/cam0/1.png": b"1", "__MACOSX/x": b"junk"})}
    digest = hashlib.sha256(web.files["/seq.tgz"]).hexdigest()
    entry = {"fetch": {"url": "seq.tgz", "sha256": digest}, "calibration": "1 2 3 4"}
    one = dataset(tmp_path, web, seq=entry, mh={"fetch": "mh.zip", "folder": "deep/mh"})
    host = Here(programs(tmp_path / "bin", *missing))
    assert run(tmp_path, one, host=host).new == ["seq", "mh"]
    data = tmp_path / "data"
    expected = {**FILES, "seq/calib.txt": b"1 2 3 4\n", "deep/mh/mav0/cam0/1.png": b"1"}
    assert content(data / "lab") == expected
    manifest = parse_manifest((data / ".lab.sha256").read_text())
    assert {name: file.sha256 for name, file in manifest.files.items()} == {
        name: hashlib.sha256(text).hexdigest() for name, text in expected.items()
    }
    assert sorted(path.name for path in data.iterdir()) == [".lab.sha256", "lab"]
    asked = len(web.asked)
    assert run(tmp_path, one, host=host).there == ["seq", "mh"]
    assert len(web.asked) == asked


def test_what_was_purged_is_fetched_again(tmp_path: Path, web: WebFiles) -> None:
    web.files["/seq.tgz"] = tgz(FILES)
    one, folder = dataset(tmp_path, web, seq="seq.tgz"), tmp_path / "data" / "lab"
    run(tmp_path, one)
    (folder / "seq" / "rgb" / "1.png").unlink()
    (folder / "seq" / "rgb" / "2.png").write_bytes(b"cut")
    (folder / "seq" / "mine").write_bytes(b"mine")
    assert run(tmp_path, one).new == ["seq"]
    assert content(folder) == {**FILES, "seq/mine": b"mine"}


def test_a_folder_that_somebody_has_put_there_is_left_alone(tmp_path: Path, web: WebFiles) -> None:
    (tmp_path / "data" / "lab" / "seq").mkdir(parents=True)
    (tmp_path / "data" / "lab" / "seq" / "mine").touch()
    assert run(tmp_path, dataset(tmp_path, web, seq="seq.tgz")).unknown == ["seq"]
    assert web.asked == []


@pytest.mark.parametrize("missing", [(), ("curl",), ("curl", "wget")])
@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_line_that_was_cut_goes_on(
    tmp_path: Path, web: WebFiles, has_ranges: bool, missing: tuple[str, ...]
) -> None:
    web.files["/seq.tgz"], web.has_ranges = tgz(FILES), has_ranges
    web.cuts = [8000] * (2 if missing == ("curl",) else 1)  # wget tries twice by itself
    host = Here(programs(tmp_path / "bin", *missing))
    one = dataset(tmp_path, web, seq="seq.tgz")
    done = run(tmp_path, one, host=host)
    if not done.new:
        (_, error), *_ = done.failed
        assert "the line was cut; what has arrived is kept" in str(error)
        done = run(tmp_path, one, host=host)
    assert done.new == ["seq"]
    assert content(tmp_path / "data" / "lab") == FILES
    if has_ranges:
        assert any((asked or "") > "bytes=0-" for _, asked in web.asked)


def test_one_that_fails_stops_no_other(tmp_path: Path, web: WebFiles) -> None:
    web.files |= {
        "/a.tgz": tgz({"a/1": b"1"}),
        "/c.tgz": b"no archive",
        "/d.zip": zipped({"../out": b"1"}),
        "/f.tgz": tgz({"f/1": b"2"}),
    }
    wrong = {"fetch": {"url": "f.tgz", "sha256": "0" * 64}}
    one = dataset(tmp_path, web, a="a.tgz", b="b.tgz", c="c.tgz", d="d.zip", e=wrong, f="f.tgz")
    done = run(tmp_path, one)
    assert done.new == ["a", "f"]
    said = {name: str(error) for name, error in done.failed}
    assert list(said) == ["b", "c", "d", "e"]
    assert f"{web.url}/b.tgz: the server does not give it (exit code 22 of what fetches there)" in said["b"]
    assert "c.tgz cannot be unpacked there; it may be damaged" in said["c"]
    assert "these lead out of the folder" in said["d"]
    assert f"its sha256 is {hashlib.sha256(web.files['/f.tgz']).hexdigest()}, and {'0' * 64} by" in said["e"]
    assert all(isinstance(error, DownloadError) for _, error in done.failed)
    assert content(tmp_path / "data" / "lab") == {"a/1": b"1", "f/1": b"2"}
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [".lab.sha256", "lab"]


def test_a_page_in_the_place_of_a_file(tmp_path: Path, web: WebFiles) -> None:
    web.files["/a.tgz"], web.kind = b"<html>", "text/html"
    (_, error), *_ = run(tmp_path, dataset(tmp_path, web, a="a.tgz")).failed
    assert "the server gives a web page in place of the file" in str(error)


def test_a_link_that_leads_out_is_refused(tmp_path: Path, web: WebFiles) -> None:
    (tmp_path / "pack" / "a").mkdir(parents=True)
    (tmp_path / "pack" / "a" / "link").symlink_to("/etc/passwd")
    subprocess.run(["tar", "-C", tmp_path / "pack", "-czf", tmp_path / "a.tgz", "a"], check=True)
    web.files["/a.tgz"] = (tmp_path / "a.tgz").read_bytes()
    (_, error), *_ = run(tmp_path, dataset(tmp_path, web, a="a.tgz")).failed
    assert "something in it is no file, or a link that leads out; it was removed" in str(error)
    assert not (tmp_path / "data" / "lab").exists()


@pytest.mark.parametrize("missing", [(), ("curl",), ("curl", "wget")])
def test_a_node_without_a_network(tmp_path: Path, web: WebFiles, missing: tuple[str, ...]) -> None:
    web.url = "http://127.0.0.1:1"
    one = dataset(tmp_path, web, a="a.tgz", b="b.tgz")
    with pytest.raises(RemoteError) as caught:
        run(tmp_path, one, host=Here(programs(tmp_path / "bin", *missing)))
    assert str(caught.value).startswith("login does not reach 127.0.0.1 (exit code ")
    assert str(caught.value).endswith("By hand.")


def test_a_node_with_nothing_that_fetches(tmp_path: Path, web: WebFiles) -> None:
    done = run(
        tmp_path,
        dataset(tmp_path, web, a="a.tgz"),
        host=Here(programs(tmp_path / "bin", "curl", "wget", "python3")),
    )
    assert str(done.failed[0][1]) == "login: there is none of curl, wget and python3 there. By hand."


def test_a_full_disk(tmp_path: Path, web: WebFiles) -> None:
    web.files["/a.tgz"] = tgz({"a/1": b"1"})
    folder = programs(tmp_path / "bin", "tar")
    (folder / "tar").write_text(
        "#!/bin/sh\necho 'tar: a/1: Cannot write: No space left on device' >&2\nexit 2\n"
    )
    (folder / "tar").chmod(0o755)
    with pytest.raises(RemoteSpaceError, match="the disk is full, or your quota is reached"):
        run(tmp_path, dataset(tmp_path, web, a="a.tgz"), host=Here(folder))
    assert run(tmp_path, dataset(tmp_path, web, a="a.tgz")).new == ["a"]
    assert len(web.asked) == 1


def test_another_command_is_at_it(tmp_path: Path, web: WebFiles) -> None:
    web.files["/a.tgz"] = tgz({"a/1": b"1"})
    parts = tmp_path / "data" / ".lab.fetch"
    parts.mkdir(parents=True)
    with subprocess.Popen(
        ["flock", str(parts / "a.lock"), "sh", "-c", "echo held; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        (_, error), *_ = run(tmp_path, dataset(tmp_path, web, a="a.tgz")).failed
        assert str(error) == "login: another command fetches a there just now; try again later"
        other.communicate()
    assert run(tmp_path, dataset(tmp_path, web, a="a.tgz")).new == ["a"]
