"""Job scripts with a real Docker engine: what a program is promised, and what is left behind."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.image.engine import engine
from slipway.site import Container
from tests.integration.engine_node import RUN_ID, EngineNode, Running
from tests.waiting import PATIENCE_S, wait_until

IMAGE = "slipway-test-docker-job"
SOCKET = Path("/var/run/docker.sock")
pytestmark = pytest.mark.skipif(
    shutil.which("docker") is None or not SOCKET.exists() or os.getuid() != 0,
    reason="an engine of this machine is needed, and root, who gives the script another user",
)
# Programs of sh and coreutils: signals arrive between two of its commands.
SAVER = "trap 'echo saved; exit {code}' {signal}; echo running; while :; do sleep 0.1; done"
HUNGRY = "a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done"


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image with an entry point, variables, and a volume, none of which may get into the way."""
    from slipway.image.base import ensure_base
    from slipway.progress import NullProgress

    client = engine()
    ensure_base(client, "debian:trixie-slim", None, NullProgress())
    text = (
        "FROM debian:trixie-slim\n"
        "RUN mkdir /code /data /weights /out\n"
        "ENV FROM_IMAGE='a b'\nVOLUME /scratch\nENTRYPOINT [\"/bin/false\"]\nUSER nobody\n"
    )
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", IMAGE, "-"],
        input=text.encode(),
        check=True,
        timeout=PATIENCE_S,
    )
    yield str(client.images.get(IMAGE).id)
    client.images.remove(IMAGE, force=True)
    client.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    # pytest's own folders are this user's alone.
    with tempfile.TemporaryDirectory(prefix="slipway-test-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def node(folder: Path, image: str) -> EngineNode:
    return make(folder, image)


def make(folder: Path, image: str, **changes: object) -> EngineNode:
    user = (1234, 2345, (3456, SOCKET.stat().st_gid))
    return EngineNode(folder / "node", "docker", image, user=user, **changes)  # type: ignore[arg-type]


def test_any_words_arrive_and_files_are_the_users(node: EngineNode) -> None:
    words = ("", "a b", "$HOME `id` 'q' \"d\"", "é\n", "\udcff", "--rm", "-n", "\\")
    show = 'printf "%s\\0" "$@" >/out/words; id >/out/id; cat /code/here.txt /data/d.txt'
    assert node.run("sh", "-c", show, "sh", *words) == 0, node.log()
    assert node.ending() == (0, "ok")
    assert node.log() == "the code\nthe data\n"
    assert [os.fsdecode(word) for word in (node.out / "words").read_bytes().split(b"\0")[:-1]] == list(words)
    assert (node.out / "id").read_text().startswith("uid=1234 gid=2345 groups=2345")
    assert "3456" in (node.out / "id").read_text()
    found = {(entry.name, entry.stat().st_uid, entry.stat().st_gid) for entry in node.out.iterdir()}
    assert found == {("words", 1234, 2345), ("id", 1234, 2345)}
    assert node.containers() == []


def test_the_environment_is_clean(node: EngineNode) -> None:
    hostile = "a b\n$X 'q' \"r\" `s` \\ =é"
    show = (
        "env -0 >/out/env; pwd\n"
        "for file in /code/x /data/x /weights/x; do touch $file 2>/dev/null && echo $file; done; true"
    )
    mine = (f"MINE={hostile}",)
    assert node.run("sh", "-c", show, environment=mine, PRIVATE="1", https_proxy="http://p:1") == 0
    words = (node.out / "env").read_bytes().split(b"\0")[:-1]
    seen = dict(os.fsdecode(word).split("=", 1) for word in words)
    assert seen["MINE"] == hostile
    assert seen["FROM_IMAGE"] == "a b"
    assert (seen["SLIPWAY_RUN"], seen["SLIPWAY_OUT"], seen["SLURM_JOB_ID"]) == (RUN_ID, "/out", "7")
    assert (seen["https_proxy"], seen["OMP_NUM_THREADS"]) == ("http://p:1", "2")
    assert seen["SLIPWAY_CONTAINER"] == f"docker:slipway-{RUN_ID}-attempt-1-0"
    assert "PRIVATE" not in seen
    assert node.log() == "/code\n"


def test_the_home_folder_is_one_of_its_own_or_the_users(folder: Path, image: str, node: EngineNode) -> None:
    assert node.run("sh", "-c", 'echo "$HOME"; touch "$HOME/a"') == 0, node.log()
    assert node.log() == "/home/slipway\n"
    shutil.rmtree(folder / "node")
    with_home = make(folder, image, home=True)
    assert with_home.run("sh", "-c", 'echo "$HOME"; touch "$HOME/a"') == 0, with_home.log()
    assert with_home.log() == f"{folder}/node/home\n"
    assert (folder / "node" / "home" / "a").stat().st_uid == 1234


@pytest.mark.parametrize(
    ("program", "code", "reason"),
    [
        ("exit 3", 3, "program-error"),
        ("exit 200", 200, "program-error"),
        ("kill -SEGV $$", 139, "program-error"),
    ],
)
def test_the_programs_exit_code_is_the_jobs(node: EngineNode, program: str, code: int, reason: str) -> None:
    assert node.run("sh", "-c", program) == code
    assert node.ending() == (code, reason)


def test_a_program_that_is_not_there(node: EngineNode) -> None:
    assert node.run("no-such-program") == 127
    assert node.ending() == (127, "launch-failure")
    assert "no-such-program: there is no such program in the image" in node.log()


def test_an_engine_that_starts_nothing(folder: Path, image: str) -> None:
    wrong = Container(command="docker", binds=("/no/such:relative",))
    node = make(folder, image, container=wrong)
    assert node.run("true") != 0
    assert node.result()["reason"] == "launch-failure"
    assert node.containers() == []
    assert list(node.out.iterdir()) == []


def test_an_image_that_is_not_there(folder: Path) -> None:
    node = make(folder, "sha256:" + "0" * 64)
    assert node.run("true") == 1
    assert node.ending() == (1, "launch-failure")
    assert "images/slipway-small-0123456789abcdef.tar" in node.log()


def test_before_the_time_limit_the_program_can_save(node: EngineNode) -> None:
    with Running(node, "sh", "-c", SAVER.format(code=5, signal="USR1")) as process:
        node.wait_for("running")
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=PATIENCE_S) == 5
    assert node.ending() == (5, "time-limit")
    assert node.log() == "running\nsaved\n"


def test_a_program_without_a_handler_does_not_notice_the_warning(node: EngineNode) -> None:
    with Running(node, "sh", "-c", "echo running; sleep 3; echo done") as process:
        node.wait_for("running")
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=PATIENCE_S) == 0
    assert (node.ending(), node.log()) == ((0, "ok"), "running\ndone\n")


@pytest.mark.parametrize("told", ["the script", "all processes"])
def test_cancelled(node: EngineNode, told: str) -> None:
    with Running(node, "sh", "-c", SAVER.format(code=4, signal="TERM")) as process:
        node.wait_for("running")
        # Where SLURM tracks processes by cgroups nobody but the script is told.
        if told == "the script":
            process.send_signal(signal.SIGTERM)
        else:
            os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 4
    assert node.ending() == (4, "cancelled")
    assert node.log() == "running\nsaved\n"
    assert node.containers() == []


@pytest.mark.parametrize("after_s", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_cancelled_as_it_begins(node: EngineNode, after_s: float) -> None:
    with Running(node, "sleep", "600") as process:
        wait_until((node.run_dir / "attempt-1" / "log").exists, "it did not begin", pause_s=0.02)
        time.sleep(after_s)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 143
    assert node.ending() == (143, "cancelled")
    assert node.containers() == []


@pytest.mark.parametrize("killed", ["the script", "all processes"])
def test_nothing_is_left_of_a_script_that_is_killed(node: EngineNode, killed: str) -> None:
    with Running(node, "sh", "-c", "trap '' TERM; echo running; sleep 600") as process:
        node.wait_for("running")
        if killed == "the script":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=PATIENCE_S)
        wait_until(lambda: node.containers() == [], "the container is still there")


def test_out_of_memory(folder: Path, image: str) -> None:
    node = make(folder, image, mem="32M")
    assert node.run("sh", "-c", HUNGRY) == 137, node.log()
    assert node.ending() == (137, "out-of-memory")
    assert node.containers() == []


def test_an_attempt_sees_the_last_one(node: EngineNode) -> None:
    assert node.run("sh", "-c", "echo one >/out/a; exit 1") == 1
    read = 'cat "$SLIPWAY_PREVIOUS/a"; touch /previous/b 2>/dev/null || echo "read only"'
    assert node.run("sh", "-c", read, SLURM_RESTART_COUNT="1") == 0
    assert node.log(2) == "one\nread only\n"


def test_an_archive_is_loaded_once(folder: Path, image: str, node: EngineNode) -> None:
    client = engine()
    subprocess.run(["docker", "save", "--output", str(node.image), image], check=True, timeout=PATIENCE_S)
    node.image.chmod(0o644)
    client.images.remove(IMAGE, force=True)
    assert node.run("true") == 0, node.log()
    assert f"image loaded from {node.image}" in node.log()
    assert node.run("true", SLURM_RESTART_COUNT="1") == 0
    assert node.log(2) == ""
    tags = client.images.get(image).tags
    assert [tag.rpartition("-")[0] for tag in tags] == ["slipway-small:0123456789abcdef"]
    client.images.get(image).tag(IMAGE)
    client.images.remove(tags[0])
    client.close()


def test_a_command_joins_the_container(node: EngineNode) -> None:
    hostile = "a b\n$X 'q' \"r\" `s`"
    join = Path(__file__).parents[2] / "cluster" / "join.sh"
    program = ("sh", "-c", "echo running; sleep 600")
    with Running(node, *program, environment=(f"MINE={hostile}",)):
        node.wait_for("running")
        inside = 'printf %s "$MINE"; pwd; id -u; echo "$1" >/out/joined; exit 7'
        words = ["bash", "-c", join.read_text(), "slipway-join", RUN_ID, str(node.run_dir), "MARK", "", ""]
        assert node.user is not None
        done = subprocess.run(
            [*words, "sh", "-c", inside, "sh", hostile],
            user=node.user[0],
            group=node.user[1],
            extra_groups=node.user[2],
            env={"PATH": os.environ["PATH"], "SLURM_JOB_ID": "7", "HOME": str(node.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.stdout == f"MARK{hostile}/code\n1234\n", done.stderr
        assert done.returncode == 7
        assert (node.out / "joined").read_text() == f"{hostile}\n"
        assert {entry.name for entry in node.out.iterdir()} == {"joined"}
