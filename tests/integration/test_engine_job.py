"""Job scripts with real Docker and Podman: what a program is promised, and what is left behind.

Docker is this machine's. Podman runs in a container that is the node, by a user without rights: this machine
need not have it.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from slipway.image.base import ensure_base
from slipway.image.engine import engine
from slipway.progress import NullProgress
from tests.campaign import others_long
from tests.integration.engine_node import RUN_ID, EngineNode, Running
from tests.waiting import PATIENCE_S, wait_until

BASE = "debian:trixie-slim"
IMAGE = "slipway-test-engine-job"
SOCKET = Path("/var/run/docker.sock")
pytestmark = pytest.mark.skipif(
    shutil.which("docker") is None or not SOCKET.exists() or os.getuid() != 0,
    reason="an engine of this machine is needed, and root, who gives the script another user",
)
# An image with an entry point, variables, and a volume, none of which may get into the way.
DOCKERFILE = f"""
FROM {BASE}
RUN mkdir /code /data /weights /out
ENV FROM_IMAGE="a b"
VOLUME /scratch
ENTRYPOINT ["/bin/false"]
USER nobody
"""
# A node with Podman, and a user with ids. In a container newuidmap has capabilities in place of a setuid bit.
PODMAN_NODE = f"""
FROM {BASE}
RUN apt-get update && apt-get install -y --no-install-recommends \\
    catatonit crun fuse-overlayfs libcap2-bin passt podman procps uidmap util-linux
RUN chmod 755 /usr/bin/newuidmap /usr/bin/newgidmap && setcap cap_setuid+ep /usr/bin/newuidmap && \\
    setcap cap_setgid+ep /usr/bin/newgidmap && useradd -m -u 1234 node && \\
    echo node:100000:65536 | tee /etc/subuid >/etc/subgid && mkdir -m 700 /run/node && chown node /run/node
"""
NODE_OPTIONS = (
    *("--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"),
    *("--device", "/dev/fuse", "--env", "PODMAN_IGNORE_CGROUPSV1_WARNING=yes"),
)
# Programs of sh and coreutils: signals arrive between two of its commands.
SAVER = "trap 'echo saved; exit {code}' {signal}; echo running; while :; do sleep 0.1; done"
HUNGRY = "a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done"


def docker(*words: str, text: str = "") -> str:
    done = subprocess.run(["docker", *words], input=text, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where scripts run: with which engine, on this machine or inside a container."""

    engine: str
    image_id: str
    folder: Path
    archive: Path
    inside: str | None = None

    def node(self, **changes: object) -> EngineNode:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        folder.chmod(0o755)
        user = (1234, 1234, (3456, SOCKET.stat().st_gid))
        return EngineNode(
            folder / "node",
            self.engine,
            self.image_id,
            user,
            inside=self.inside,
            **changes,  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module")
def image_id() -> Iterator[str]:
    client = engine()
    ensure_base(client, BASE, None, NullProgress())
    docker("build", "--quiet", "--tag", IMAGE, "-", text=DOCKERFILE)
    yield str(client.images.get(IMAGE).id)
    client.images.remove(IMAGE, force=True)
    client.close()


@pytest.fixture(scope="module", params=others_long(["docker", "podman"], "docker"))
def place(request: pytest.FixtureRequest, image_id: str) -> Iterator[Place]:
    # pytest's own folders are this user's alone.
    with tempfile.TemporaryDirectory(prefix="slipway-test-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        archive = folder / "image.tar"
        docker("save", "--output", str(archive), image_id)
        archive.chmod(0o644)
        here = Place(engine=request.param, image_id=image_id, folder=folder, archive=archive)
        if request.param == "docker":
            yield here
            return
        docker("build", "--quiet", "--tag", f"{IMAGE}-node", "-", text=PODMAN_NODE)
        inside = docker(
            "run",
            "--detach",
            "--init",
            *NODE_OPTIONS,
            f"--volume={made}:{made}",
            f"{IMAGE}-node",
            "sleep",
            "inf",
        )
        try:
            docker("exec", inside, "chmod", "666", "/dev/fuse")
            there = replace(here, inside=inside)
            there.node().ask("podman", "load", "--input", str(archive))
            yield there
        finally:
            docker("rm", "--force", inside)
            docker("rmi", "--force", f"{IMAGE}-node")


@pytest.fixture
def node(place: Place) -> EngineNode:
    return place.node()


def test_any_words_arrive_and_files_are_the_users(node: EngineNode) -> None:
    words = ("", "a b", "$HOME `id` 'q' \"d\"", "é\n", "\udcff", "--rm", "-n", "\\")
    show = 'printf "%s\\0" "$@" >/out/words; id >/out/id; cat /code/here.txt /data/d.txt'
    assert node.run("sh", "-c", show, "sh", *words) == 0, node.log()
    assert node.ending() == (0, "ok")
    assert node.log() == "the code\nthe data\n"
    assert [os.fsdecode(word) for word in (node.out / "words").read_bytes().split(b"\0")[:-1]] == list(words)
    assert (node.out / "id").read_text().startswith("uid=1234")
    found = {(entry.name, entry.stat().st_uid, entry.stat().st_gid) for entry in node.out.iterdir()}
    assert found == {("words", 1234, 1234), ("id", 1234, 1234)}
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
    assert seen["SLIPWAY_CONTAINER"] == f"{node.engine}:slipway-{RUN_ID}-attempt-1-0"
    assert "PRIVATE" not in seen
    assert node.log() == "/code\n"


def test_the_home_folder_is_one_of_its_own(node: EngineNode) -> None:
    assert node.run("sh", "-c", 'echo "$HOME"; touch "$HOME/a"') == 0, node.log()
    assert node.log().endswith("/home/slipway\n")


def test_the_home_folder_is_the_users(place: Place) -> None:
    node = place.node(home=True)
    assert node.run("sh", "-c", 'echo "$HOME"; touch "$HOME/a" && rm "$HOME/a"') == 0, node.log()
    home = "/home/node" if place.inside else str(node.folder / "home")
    assert node.log().endswith(f"{home}\n")


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


def test_an_engine_that_starts_nothing(place: Place) -> None:
    node = place.node(container={"binds": ("/no/such:relative",)})
    assert node.run("true") != 0
    assert node.result()["reason"] == "launch-failure"
    assert node.containers() == []
    assert list(node.out.iterdir()) == []


def test_an_image_that_is_not_there(place: Place) -> None:
    node = replace(place, image_id="sha256:" + "0" * 64).node()
    assert node.run("true") == 1
    assert node.ending() == (1, "launch-failure")
    assert "images/slipway-small-0123456789abcdef.tar" in node.log()


def test_before_the_time_limit_the_program_can_save(node: EngineNode) -> None:
    with Running(node, "sh", "-c", SAVER.format(code=5, signal="USR1")) as process:
        node.wait_for("running")
        node.tell(signal.SIGUSR1)
        assert process.wait(timeout=PATIENCE_S) == 5
    assert node.ending() == (5, "time-limit")
    assert node.log() == "running\nsaved\n"


def test_a_program_without_a_handler_does_not_notice_the_warning(node: EngineNode) -> None:
    with Running(node, "sh", "-c", "echo running; sleep 3; echo done") as process:
        node.wait_for("running")
        node.tell(signal.SIGUSR1)
        assert process.wait(timeout=PATIENCE_S) == 0
    assert (node.ending(), node.log()) == ((0, "ok"), "running\ndone\n")


@pytest.mark.parametrize("told", ["the script", "all processes"])
def test_cancelled(node: EngineNode, told: str) -> None:
    with Running(node, "sh", "-c", SAVER.format(code=4, signal="TERM")) as process:
        node.wait_for("running")
        # Where SLURM tracks processes by cgroups nobody but the script is told.
        node.tell(signal.SIGTERM, everybody=told == "all processes")
        assert process.wait(timeout=PATIENCE_S) == 4
    assert node.ending() == (4, "cancelled")
    # Where the engine's own program passes it on, too, it may come twice before the program is at its end.
    told_twice = "running\nsaved\nsaved\n" if told == "all processes" else ""
    assert node.log() in ("running\nsaved\n", told_twice)
    assert node.containers() == []


@pytest.mark.parametrize("after_s", others_long([0.1, 0.3, 0.5, 0.7, 0.9], 0.3, 0.7))
def test_cancelled_as_it_begins(node: EngineNode, after_s: float) -> None:
    with Running(node, "sleep", "600") as process:
        wait_until((node.run_dir / "attempt-1" / "log").exists, "it did not begin", pause_s=0.02)
        time.sleep(after_s)
        node.tell(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 143
    assert node.ending() == (143, "cancelled")
    assert node.containers() == []


def test_what_was_killed_with_all_else_is_removed_by_the_next_job(place: Place) -> None:
    if place.inside is None:
        pytest.skip("Docker's engine is not among what is killed, and has removed it")
    node = place.node()
    with Running(node, "sh", "-c", "echo running; sleep 600") as process:
        node.wait_for("running")
        # As a scheduler does that ends a cgroup.
        node.ask("sh", "-c", "kill -KILL -1")
        process.wait(timeout=PATIENCE_S)
    again = place.node()
    assert again.run("true") == 0, again.log()
    assert node.containers() == []


@pytest.mark.parametrize("killed", ["the script", "all processes"])
def test_nothing_is_left_of_a_script_that_is_killed(node: EngineNode, killed: str) -> None:
    with Running(node, "sh", "-c", "trap '' TERM; echo running; sleep 600") as process:
        node.wait_for("running")
        node.tell(signal.SIGKILL, everybody=killed == "all processes")
        process.wait(timeout=PATIENCE_S)
        wait_until(lambda: node.containers() == [], "the container is still there")


def test_out_of_memory(place: Place) -> None:
    if place.inside is not None:
        pytest.skip("with Podman memory is the scheduler's affair, as with Apptainer")
    node = place.node(mem="32M")
    assert node.run("sh", "-c", HUNGRY) == 137, node.log()
    assert node.ending() == (137, "out-of-memory")
    assert node.containers() == []


def test_an_attempt_sees_the_last_one(node: EngineNode) -> None:
    assert node.run("sh", "-c", "echo one >/out/a; exit 1") == 1
    read = 'cat "$SLIPWAY_PREVIOUS/a"; touch /previous/b 2>/dev/null || echo "read only"'
    assert node.run("sh", "-c", read, SLURM_RESTART_COUNT="1") == 0
    assert node.log(2) == "one\nread only\n"


def test_an_archive_is_loaded_once(place: Place) -> None:
    node = place.node()
    node.image.hardlink_to(place.archive)
    node.ask(node.engine, "rmi", "--force", place.image_id)
    assert node.run("true") == 0, node.log()
    assert f"image loaded from {node.image}" in node.log()
    assert node.run("true", SLURM_RESTART_COUNT="1") == 0
    assert node.log(2) == ""
    tags = node.ask(node.engine, "image", "inspect", "--format", "{{json .RepoTags}}", place.image_id).stdout
    (tag,) = json.loads(tags)
    assert "slipway-small:0123456789abcdef-" in tag
    node.ask(node.engine, "tag", place.image_id, IMAGE)
    node.ask(node.engine, "rmi", tag)


def test_a_command_joins_the_container(node: EngineNode) -> None:
    hostile = "a b\n$X 'q' \"r\" `s`"
    join = Path(__file__).parents[2] / "cluster" / "join.sh"
    program = ("sh", "-c", "echo running; sleep 600")
    with Running(node, *program, environment=(f"MINE={hostile}",)):
        node.wait_for("running")
        inside = 'printf %s "$MINE"; pwd; id -u; echo "$1" >/out/joined; exit 7'
        words = ["bash", "-c", join.read_text(), "slipway-join", RUN_ID, str(node.run_dir), "MARK", "", ""]
        done = node.ask(*words, "sh", "-c", inside, "sh", hostile)
        assert done.stdout == f"MARK{hostile}/code\n1234\n"
        assert done.returncode == 7
        assert (node.out / "joined").read_text() == f"{hostile}\n"
        assert {entry.name for entry in node.out.iterdir()} == {"joined"}


def test_an_engine_that_does_not_answer_is_told_in_its_own_words(place: Place) -> None:
    if place.engine != "docker":
        pytest.skip("Podman has no daemon that could be gone")
    node = place.node()
    assert node.run("true", DOCKER_HOST="unix:///nowhere/docker.sock") == 1
    assert "/nowhere/docker.sock" in node.log()
    assert "docker of this machine does not answer\n" in node.log()
    assert "does not have the image" not in node.log()
