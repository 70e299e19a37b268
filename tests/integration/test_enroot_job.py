"""Job scripts with a real Enroot, and an image that is made as `push` makes it.

Debian has no Enroot. SLIPWAY_TEST_ENROOT names a Docker image that has it, with squashfuse,
fuse-overlayfs and a user 1234; that is the node.
"""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.image.engine import engine, find_image
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.archive import make_squashfs
from slipway.sif.store import make_sif, tools_recipe
from tests.integration.engine_node import RUN_ID, EngineNode, Running
from tests.integration.task_runner import ROOT
from tests.waiting import PATIENCE_S

NODE = os.environ.get("SLIPWAY_TEST_ENROOT", "")
IMAGE = "slipway-test-enroot-job"
pytestmark = pytest.mark.skipif(not NODE, reason="SLIPWAY_TEST_ENROOT names no image that has Enroot")
# ENV with what Apptainer alone would change, and an entry point that may not get into the way.
DOCKERFILE = """
FROM debian:trixie-slim
RUN mkdir /code /data /weights /out
ENV FROM_IMAGE="a b" HARD="x\\"\\$y"
ENTRYPOINT ["/bin/false"]
"""
OPTIONS = ("--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined", "--device=/dev/fuse")
SAVER = "trap 'echo saved; exit {code}' {signal}; echo running; while :; do sleep 0.1; done"


def docker(*words: str, text: str = "") -> str:
    done = subprocess.run(["docker", *words], input=text, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def squashfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("state")
    project = Project(root=ROOT, state=state, results=state)
    docker("build", "--quiet", "--tag", IMAGE, "-", text=DOCKERFILE)
    client = engine()
    image = find_image(client, IMAGE)
    assert image is not None
    tools = tools_recipe(project, load_profile(project.profiles, "cpu"))
    sif, _ = make_sif(client, image, project, tools, NullProgress())
    yield make_squashfs(sif, project, NullProgress()).path
    client.images.remove(IMAGE, force=True)
    client.close()


@pytest.fixture
def node(squashfs: Path) -> Iterator[EngineNode]:
    with tempfile.TemporaryDirectory(prefix="slipway-test-") as made:
        Path(made).chmod(0o755)
        inside = docker(
            "run", "--detach", "--init", *OPTIONS, f"--volume={made}:{made}", NODE, "sleep", "inf"
        )
        try:
            docker("exec", inside, "chmod", "666", "/dev/fuse")
            node = EngineNode(Path(made) / "node", "enroot", "", (1234, 1234, ()), inside=inside)
            node.image.write_bytes(squashfs.read_bytes())
            yield node
        finally:
            docker("rm", "--force", inside)


def test_any_words_arrive_and_files_are_the_users(node: EngineNode) -> None:
    words = ("", "a b", "$HOME `id` 'q' \"d\"", "é\n", "\udcff", "--rm", "-n", "\\")
    show = 'printf "%s\\0" "$@" >/out/words; cat /code/here.txt /data/d.txt; pwd; env -0 >/out/env'
    mine = "a b\n$X 'q' \"r\" `s` \\ =é"
    assert node.run("sh", "-c", show, "sh", *words, environment=(f"MINE={mine}",), PRIVATE="1") == 0, (
        node.log()
    )
    assert node.ending() == (0, "ok")
    assert node.log() == "the code\nthe data\n/code\n"
    assert [os.fsdecode(word) for word in (node.out / "words").read_bytes().split(b"\0")[:-1]] == list(words)
    pairs = (node.out / "env").read_bytes().split(b"\0")[:-1]
    seen = dict(os.fsdecode(pair).split("=", 1) for pair in pairs)
    assert (seen["MINE"], seen["FROM_IMAGE"], seen["HARD"]) == (mine, "a b", 'x"$y')
    assert (seen["SLIPWAY_RUN"], seen["HOME"]) == (RUN_ID, "/tmp")
    assert "PRIVATE" not in seen
    assert {(entry.name, entry.stat().st_uid) for entry in node.out.iterdir()} == {
        ("words", 1234),
        ("env", 1234),
    }


def test_what_it_may_not_write_to(node: EngineNode) -> None:
    show = "for file in /code/x /data/x /usr/x; do touch $file 2>/dev/null && echo $file; done; touch /tmp/x"
    assert node.run("sh", "-c", show) == 0
    assert node.log() == ""


@pytest.mark.parametrize(
    ("program", "code", "reason"), [("exit 3", 3, "program-error"), ("kill -SEGV $$", 139, "program-error")]
)
def test_the_programs_exit_code_is_the_jobs(node: EngineNode, program: str, code: int, reason: str) -> None:
    assert node.run("sh", "-c", program) == code
    assert node.ending() == (code, reason)


def test_an_image_that_is_damaged(node: EngineNode) -> None:
    node.image.write_bytes(b"no squashfs")
    assert node.run("true") != 0
    assert node.result()["reason"] == "launch-failure"


def test_before_the_time_limit_the_program_can_save(node: EngineNode) -> None:
    with Running(node, "sh", "-c", SAVER.format(code=5, signal="USR1")) as process:
        node.wait_for("running")
        node.tell(signal.SIGUSR1)
        assert process.wait(timeout=PATIENCE_S) == 5
    assert node.ending() == (5, "time-limit")


@pytest.mark.parametrize("everybody", [False, True])
def test_cancelled(node: EngineNode, *, everybody: bool) -> None:
    with Running(node, "sh", "-c", SAVER.format(code=4, signal="TERM")) as process:
        node.wait_for("running")
        node.tell(signal.SIGTERM, everybody=everybody)
        assert process.wait(timeout=PATIENCE_S) == 4
    assert node.ending() == (4, "cancelled")
    # Where all are told, the shell says that its `sleep` was ended.
    assert node.log().replace("Terminated\n", "") == "running\nsaved\n"
    assert "squashfuse" not in node.ask("ps", "-eo", "args").stdout


def test_a_command_joins_the_container(node: EngineNode) -> None:
    join = (ROOT / "cluster" / "join.sh").read_text()
    with Running(node, "sh", "-c", "echo running; sleep 600", environment=("MINE=a b",)):
        node.wait_for("running")
        words = ["bash", "-c", join, "slipway-join", RUN_ID, str(node.run_dir), "MARK", "", ""]
        done = node.ask(*words, "sh", "-c", 'echo "$MINE"; pwd; id -u; ls /code; exit 7')
        assert done.stdout == "MARKa b\n/code\n1234\nhere.txt\n"
        assert done.returncode == 7
        assert json.dumps(sorted(entry.name for entry in node.out.iterdir())) == "[]"
