"""Pulls of runs that have left what is hard to bring: all that can come comes, and the rest is named."""

import errno
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import HostError, IncompleteError, RemoteError
from slipway.job import results
from slipway.job.results import Results
from slipway.job.run import Run
from slipway.progress import NullProgress
from tests.campaign import others_long
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import TaskRunner
from tests.waiting import PATIENCE_S

CARRIERS = ("rsync", "sftp")
# A program's whole output: what is good, what nobody may read, what is no file, and what breaks readers.
PROGRAM = r"""
cd /out; mkdir sub closed 'sub/deep dir' readonly
echo '{"rmse": 0.25}' >fig.json; echo good >good; echo deep >'sub/deep dir/file'; echo r >readonly/file
echo x >closed/inside; echo no >secret; echo no >'sub/se
cret'; head -c 5000000 /dev/zero >large-secret
printf x >"$(printf 'latin-\351')"; printf x >"$(printf 'esc\033[2J')"; printf x >'new
line'
ln -s /dev/zero zero.json; ln -s /etc/hostname outward; ln -s nowhere dangling; ln -s good inward
perl -e 'print "[" x 100000' >nested.json; perl -e 'print "{\"n\": ", "9" x 5000, "}"' >huge.json
printf '\377\376{' >latin.json; printf '{"\\u001b]0;X\\u0007": "\\u001b]52;c;aGFjaw==\\u0007"}' >escape.json
mkfifo pipe pipe.json; perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "socket", Listen => 1)'
chmod 000 secret "sub/se
cret" large-secret closed; chmod 555 readonly
"""
GOOD = {"fig.json", "good", "sub/deep dir/file", "readonly/file", "new\nline", "esc\x1b[2J"}
GOOD |= {os.fsdecode(b"latin-\xe9"), "nested.json", "huge.json", "latin.json", "escape.json"}
SKIPPED = {"secret", "sub/se\ncret", "large-secret", "closed"}


def left(small: SmallImageBox, run: Run, script: str) -> Run:
    """A run that has left what a script makes in its output folder, without a job of its own."""
    folder = f"{run.run_dir}-{os.urandom(3).hex()}"
    out = f"{folder}/attempt-1/out"
    small.on_box(f"mkdir -p {out} && cd {out} && touch ../../job.sh && {{ {script}\n}}")
    return replace(run, run_dir=folder)


@pytest.fixture(scope="module")
def run(small: SmallImageBox) -> Run:
    with small.connect() as host:
        submitted = small.submit(host, "sh", "-c", PROGRAM)
    done = small.wait_for(submitted)
    assert done.status.exit_code == 0, small.on_box(f"cat {done.run_dir}/attempt-1/log")
    return done


def pull(small: SmallImageBox, run: Run, folder: Path, carrier: str) -> Results:
    with small.connect() as host:
        host.transfer = carrier
        return results.pull(host, run, folder, NullProgress())


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.mark.parametrize("carrier", CARRIERS)
def test_all_that_can_be_brought_is_brought(
    small: SmallImageBox, run: Run, tmp_path: Path, carrier: str
) -> None:
    brought = pull(small, run, tmp_path, carrier)
    out = tmp_path / run.run_id / "attempt-1" / "out"
    assert brought.out == out
    assert files(out) == GOOD
    assert {path.name: os.readlink(path) for path in out.iterdir() if path.is_symlink()} == {  # noqa: PTH115
        "zero.json": "/dev/zero",
        "outward": "/etc/hostname",
        "dangling": "nowhere",
        "inward": "good",
    }
    assert {one.name.removeprefix("attempt-1/out/") for one in brought.transfer.skipped} == SKIPPED
    assert {one.why for one in brought.transfer.skipped} == {"Permission denied"}
    left = {name.removeprefix("attempt-1/out/") for name in brought.transfer.left_out}
    assert left == {"pipe", "pipe.json", "socket"}
    with pytest.raises(IncompleteError, match=r"4 files or folders of .* could not be brought"):
        brought.check()
    # Nothing of an attempt is left, and everything here can be removed again.
    assert not list(brought.home.rglob(".slipway-partial"))
    assert (out / "readonly").stat().st_mode & 0o700 == 0o700
    again = pull(small, run, tmp_path, carrier)
    assert (again.transfer.files, len(again.transfer.skipped)) == (0, 4)
    assert again.output.figures["fig"] == {"rmse": 0.25}
    assert {note.split(" ")[0] for note in again.output.notes} >= {"zero.json", "nested.json", "huge.json"}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_what_can_be_read_by_now_comes_with_the_next_pull(
    small: SmallImageBox, run: Run, tmp_path: Path, carrier: str
) -> None:
    run = left(small, run, "mkdir closed; echo x >closed/inside; echo a >a; echo b >b; chmod 000 closed b")
    first = pull(small, run, tmp_path, carrier)
    assert (first.transfer.files, len(first.transfer.skipped)) == (2, 2)
    small.on_box(f"chmod -R u+rwX {run.run_dir}")
    brought = pull(small, run, tmp_path, carrier)
    assert (brought.transfer.files, brought.transfer.skipped) == (2, [])
    assert (brought.home / "out" / "closed" / "inside").read_text() == "x\n"
    brought.check()


def test_what_a_person_sees(small: SmallImageBox, run: Run) -> None:
    project = small.session.project
    runner = TaskRunner(state=project.state, results=project.results)
    done = runner.invoke("pull", "--run", run.run_id, code=91)
    assert "fig" in done.stdout
    assert f"{run.run_id}/out/outward -> /etc/hostname\n" in done.stdout
    assert "zero.json -> /dev/zero\n" in done.stdout
    assert "zero.json is not shown as figures: it is no regular file" in done.stderr
    assert "3 left there, since they are pipes, sockets or devices: " in done.stderr
    assert "brought to " in done.stderr
    said = done.stderr[done.stderr.index("error:") :].splitlines()
    assert said[0] == f"error: 4 files or folders of {run.run_id} could not be brought; the rest is here:"
    assert "  attempt-1/out/secret: Permission denied" in said
    assert "  'attempt-1/out/sub/se\\ncret': Permission denied" in said
    assert "\x1b" not in done.stdout + done.stderr
    assert json.loads((project.results / run.run_id / "run.json").read_text())["run_id"] == run.run_id


@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_output_that_is_odd_itself(small: SmallImageBox, run: Run, tmp_path: Path, carrier: str) -> None:
    """Links where folders should be, folders where files should be: nothing here is written through them."""
    script = (
        "cd ../..; rm -r attempt-1/out; ln -s /etc attempt-1/out; mkdir attempt-1/log attempt-² attempt-x"
    )
    run = left(small, run, f"{script}; ln -s {tmp_path}/victim run.json")
    (tmp_path / "victim").write_text("mine")
    brought = pull(small, run, tmp_path / "results", carrier)
    assert (tmp_path / "victim").read_text() == "mine"
    assert json.loads((brought.home / "run.json").read_text())["run_id"] == run.run_id
    assert brought.output.listing == [f"{brought.home}/out -> /etc"]
    assert (brought.home / "log").is_dir()
    # What a person has put into the links' places stays, and the record replaces a link.
    for name in ("out", "run.json"):
        (brought.home / name).unlink()
    (brought.home / "out").mkdir()
    (brought.home / "out" / "own").write_text("mine")
    (brought.home / "run.json").symlink_to(tmp_path / "victim")
    again = pull(small, run, tmp_path / "results", carrier)
    assert again.shown == again.out == brought.home / "attempt-1" / "out"
    assert (brought.home / "out" / "own").read_text() == "mine"
    assert (tmp_path / "victim").read_text() == "mine"
    assert not [path for path in brought.home.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_run_that_is_not_there_is_no_partial_one(
    small: SmallImageBox, run: Run, tmp_path: Path, carrier: str
) -> None:
    with pytest.raises(RemoteError):
        pull(small, replace(run, run_dir=f"{run.run_dir}-not"), tmp_path, carrier)


def test_a_path_that_is_too_long_for_this_side(small: SmallImageBox, run: Run, tmp_path: Path) -> None:
    """rsync goes from folder to folder, and so has no trouble; SFTP brings what it can."""
    name = "d" * 200
    script = f"echo a >a; for i in $(seq 17); do mkdir {name}; cd {name}; done; echo x >x"
    run = left(small, run, script)
    deep = tmp_path / ("e" * 200) / ("f" * 200) / ("g" * 200)
    deep.mkdir(parents=True)
    brought = pull(small, run, deep, "sftp")
    assert (brought.home / "out" / "a").read_text() == "a\n"
    assert len(brought.transfer.skipped) == 1
    assert brought.transfer.skipped[0].why == os.strerror(errno.ENAMETOOLONG)
    assert pull(small, run, deep, "rsync").transfer.skipped == []


@contextmanager
def tight_disk() -> Iterator[Path]:
    """A disk that ignores case, and has no links and no colons in names: exFAT, by FUSE."""
    if os.geteuid() or not (shutil.which("mount.exfat-fuse") and shutil.which("mkfs.exfat")):
        pytest.skip("a disk that ignores case needs root, exfat-fuse and exfatprogs")
    with tempfile.TemporaryDirectory() as name:
        image, folder = Path(name) / "image", Path(name) / "disk"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(16 << 20)
        subprocess.run(["mkfs.exfat", str(image)], check=True, capture_output=True, timeout=PATIENCE_S)
        argv = ["losetup", "--find", "--show", str(image)]
        done = subprocess.run(argv, capture_output=True, timeout=PATIENCE_S, check=False, text=True)
        if done.returncode:
            pytest.skip(f"there are no loop devices here: {done.stderr}")
        device = done.stdout.strip()
        try:
            subprocess.run(["mount.exfat-fuse", device, str(folder)], check=True, timeout=PATIENCE_S)
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=False, timeout=PATIENCE_S)
            subprocess.run(["losetup", "--detach", device], check=True, timeout=PATIENCE_S)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_disk_that_ignores_case_and_has_no_links(small: SmallImageBox, run: Run, carrier: str) -> None:
    script = "mkdir Dir dir; echo 1 >Dir/a; echo 2 >dir/b; echo A >Name; echo a >name; echo c >a:b; ln -s a l"
    run = left(small, run, script)
    with tight_disk() as folder:
        brought = pull(small, run, folder, carrier)
        out = folder / run.run_id / "attempt-1" / "out"
        assert files(out) == {"Dir/a", "Name"}
        assert (out / "Name").read_text() == "A\n"
        found = {one.name.removeprefix("attempt-1/out/"): one.why for one in brought.transfer.skipped}
        assert set(found) == {"dir", "name", "a:b", "l"}
        assert found["name"] == "this disk does not tell it apart from attempt-1/out/Name"
        assert brought.shown == out
        assert len(brought.output.listing) == 2


@pytest.mark.long
def test_rsync_may_say_more_than_a_channel_holds(small: SmallImageBox, run: Run, tmp_path: Path) -> None:
    """Each file that cannot be read is a line: here they are more than the 2 MB that wait to be read."""
    run = left(small, run, "echo good >good; seq 20000 | xargs touch; seq 20000 | xargs chmod 0")
    brought = pull(small, run, tmp_path, "rsync")
    assert len(brought.transfer.skipped) == 20_000
    assert (brought.home / "out" / "good").read_text() == "good\n"
    with pytest.raises(IncompleteError) as caught:
        brought.check()
    assert str(caught.value).splitlines()[-2] == "  … and 19,990 more"


@pytest.mark.parametrize("carrier", others_long(CARRIERS, "rsync"))
def test_files_that_go_away_meanwhile(small: SmallImageBox, run: Run, tmp_path: Path, carrier: str) -> None:
    """A program that is still at work: it makes and removes files all the time, and one of them grows."""
    run = left(small, run, "for i in $(seq 300); do echo $i >$i; done; echo good >good; echo x >log")
    script = "for n in $(seq 8); do for i in $(seq 300); do echo x >>log; mv $i t$i; mv t$i $i; done; done"
    small.on_box(f"cd {run.run_dir}/attempt-1/out; ({script}) >/dev/null 2>&1 &")
    for _ in range(3):
        brought = pull(small, run, tmp_path, carrier)
        assert (brought.home / "out" / "good").read_text() == "good\n"
        assert {one.why for one in brought.transfer.skipped} <= {"it went away meanwhile"}


def test_results_that_cannot_be_written(small: SmallImageBox, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(HostError, match="cannot be made"):
        pull(small, run, tmp_path / "file", "rsync")
