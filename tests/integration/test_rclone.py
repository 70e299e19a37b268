"""Packed data by way of a bucket, with the real rclone here and on the box, where this machine has one."""

import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.box.spec import Box
from slipway.errors import ConfigError, RemoteError
from slipway.image.engine import engine
from slipway.steps import data
from tests.integration.small_image import SmallImageBox
from tests.waiting import wait_until

RCLONE = shutil.which("rclone")
KEY, SECRET = "AKIATESTKEY", "a-secret-of-the-bucket"
S3 = """[bucket]
type = s3
provider = Other
access_key_id = {key}
secret_access_key = {secret}
endpoint = http://{host}:{port}
force_path_style = true
"""
pytestmark = pytest.mark.skipif(RCLONE is None, reason="this machine has no rclone")


@pytest.fixture(scope="module")
def gateway(small_box: SmallImageBox) -> str:
    """This machine, as the box sees it."""
    container = engine().containers.get(Box(state=small_box.session.project.state).name)
    networks = container.attrs["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))["Gateway"])


@pytest.fixture(scope="module")
def port(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that speaks S3, where this machine has one: moto's."""
    server = shutil.which("moto_server") or str(Path(sys.executable).with_name("moto_server"))
    if not Path(server).exists():
        pytest.skip("this machine has no moto_server, which speaks S3")
    with socket.create_server((gateway, 0)) as free:
        port = int(free.getsockname()[1])
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([server, "-H", gateway, "-p", str(port)], stdout=file, stderr=file)
    try:
        wait_until(lambda: is_open(gateway, port), lambda: log.read_text())
        yield port
    finally:
        process.terminate()
        process.wait()


def is_open(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def place(
    small: SmallImageBox, gateway: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SmallImageBox]:
    """The box with rclone and the bucket, and this machine with the same."""
    assert RCLONE is not None
    config = S3.format(key=KEY, secret=SECRET, host=gateway, port=port)
    (tmp_path / "rclone.conf").write_text(config)
    monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "rclone.conf"))
    # rclone 1.60 does not get along with it.
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    subprocess.run([RCLONE, "mkdir", "bucket:lab"], check=True, capture_output=True)
    name = Box(state=small.session.project.state).name
    subprocess.run(["docker", "cp", RCLONE, f"{name}:/usr/local/bin/rclone"], check=True, capture_output=True)
    small.on_box(f"mkdir -p ~/.config/rclone && printf %s '{config}' >~/.config/rclone/rclone.conf")
    yield small
    small.on_box("rm -rf ~/.config/rclone $SCRATCH/slipway/packed")
    small.as_root("rm", "-f", "/usr/local/bin/rclone")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "room"
    folder.mkdir()
    chance = random.Random(1)  # noqa: S311
    for number in range(200):
        (folder / f"{number:03}").write_bytes(chance.randbytes(60_000))
    return folder


def listed() -> list[str]:
    assert RCLONE is not None
    done = subprocess.run([RCLONE, "lsf", "-R", "bucket:lab"], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_by_way_of_a_bucket(place: SmallImageBox, source: Path) -> None:
    staged = data.stage_packed(place.session, place.choice, source, None, via="bucket:lab/data")
    assert staged.packed_bytes is not None
    assert staged.sent_bytes >= staged.packed_bytes
    # It is in the bucket only as long as it is on its way.
    assert listed() == []
    with place.connect() as remote:
        run = place.submit(remote, "sh", "-c", "cat /data/room/* | wc -c")
    place.wait_for(run)
    assert place.on_box(f"cat {run.run_dir}/attempt-1/log").split() == [str(200 * 60_000)]
    again = data.stage_packed(place.session, place.choice, source, None, via="bucket:lab/data")
    assert again.sent_bytes == 0
    # Nothing of what rclone needs is in what Slipway has written, here or there.
    for file in place.session.project.state.rglob("*"):
        if file.is_file() and file.stat().st_size < 10_000_000:
            assert SECRET.encode() not in file.read_bytes(), file
    assert place.on_box(f"grep -rl {SECRET} $SCRATCH/slipway || true") == ""


def test_what_is_uploaded_is_only_fetched_the_next_time(place: SmallImageBox, source: Path) -> None:
    (source / "new").write_bytes(os.urandom(5000))
    script = r'#!/bin/sh\ncase $1 in copyto) exit 7;; esac\nexec /usr/local/bin/rclone "$@"\n'
    place.on_box(f"mkdir ~/fake; printf '{script}' >~/fake/rclone; chmod 755 ~/fake/rclone")
    place.on_box("echo '. ~/.profile; PATH=~/fake:$PATH' >~/.bash_profile")
    try:
        with pytest.raises(RemoteError, match="is uploaded: the same command only fetches it"):
            data.stage_packed(place.session, place.choice, source, None, via="bucket:lab/data")
    finally:
        place.on_box("rm -rf ~/.bash_profile ~/fake")
    assert len(listed()) == 2
    staged = data.stage_packed(place.session, place.choice, source, None, via="bucket:lab/data")
    assert staged.sent_bytes < 100_000
    assert listed() == []


def test_a_remote_that_one_side_does_not_know(place: SmallImageBox, source: Path) -> None:
    with pytest.raises(ConfigError, match="rclone on this machine knows no remote 'other'"):
        data.stage_packed(place.session, place.choice, source, None, via="other:lab")
    place.on_box("rm ~/.config/rclone/rclone.conf")
    with pytest.raises(ConfigError, match=r"rclone on researcher@\S+ knows no remote 'bucket'"):
        data.stage_packed(place.session, place.choice, source, None, via="bucket:lab")
    place.as_root("rm", "/usr/local/bin/rclone")
    with pytest.raises(RemoteError, match="--via needs rclone there, too"):
        data.stage_packed(place.session, place.choice, source, None, via="bucket:lab")
