"""The rendered job script under real bash; a stand-in takes Apptainer's place (tests/unit/node.py)."""

import hashlib
import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from slipway.job.record import format_run, parse_run
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Paths
from tests.campaign import rounds
from tests.unit.node import SITE, Node
from tests.unit.test_run import make_run
from tests.waiting import PATIENCE_S


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


# Any bytes but zero, and above all those that mean something to a shell, to Apptainer or to a parser of
# options.
_PIECES = st.sampled_from([*"'\"$\\*?~!#;&|<>(){}[] \n\t\r", "", "$HOME", "`id`", "%s", "--", "-n"])
WORD = st.one_of(
    st.lists(_PIECES, max_size=6).map("".join),
    st.binary(max_size=40).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"0"))),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
)
WORDS = st.lists(WORD, max_size=12)
# The program: its own argv, as the kernel has it. What comes before the words is four words long.
SHOW = ("sh", "-c", 'cat /proc/$$/cmdline >"$SLIPWAY_TARGET"', "sh")


# A login shell's own: where bash counts letters, it can take the end of one argument for a part of a letter.
LOCALE = st.sampled_from(["C", "C.UTF-8"])


def arrived(node: Node, words: list[str], locale: str = "C.UTF-8") -> list[str]:
    target = node.folder / "argv-that-arrived"
    assert node.run(*SHOW, *words, environment=(f"SLIPWAY_TARGET={target}",), LC_ALL=locale) == 0
    return [os.fsdecode(word) for word in target.read_bytes().split(b"\0")[:-1]][4:]


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return Node(tmp_path_factory.mktemp("shared") / "node")


@settings(max_examples=rounds(200, 50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words=WORDS, locale=LOCALE)
@example(words=[], locale="C.UTF-8")
@example(words=["", "", ""], locale="C.UTF-8")
@example(words=["--", "--", "-", "-e", "--help"], locale="C.UTF-8")
@example(words=["\udcff\udcfe", "\udc80'", "é\n\n"], locale="C.UTF-8")
@example(words=["\udce9", "\udcf0\udc9f", "after"], locale="C.UTF-8")
def test_any_arguments_arrive_and_are_recorded(shared_node: Node, words: list[str], locale: str) -> None:
    assert arrived(shared_node, words, locale) == words
    run = replace(make_run("k3f9-cpu"), args=tuple(words))
    assert parse_run(format_run(run).encode()) == run


@pytest.mark.parametrize(
    "words",
    [
        [f"{number} '$x" for number in range(20_000)],
        ["'" * 100_000, "\\" * 100_000, "\n" * 100_000, "a" * 131_071],
    ],
    ids=["thousands", "long"],
)
def test_many_and_long_arguments_arrive(shared_node: Node, words: list[str]) -> None:
    assert arrived(shared_node, words) == words


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=WORD, locale=LOCALE)
@example(value="\udcc3", locale="C.UTF-8")
def test_any_value_of_the_environment_arrives(shared_node: Node, value: str, locale: str) -> None:
    target = shared_node.folder / "environment-that-arrived"
    argv = ("sh", "-c", 'cat /proc/self/environ >"$SLIPWAY_TARGET"')
    environment = (f"MINE={value}", f"SLIPWAY_TARGET={target}")
    assert shared_node.run(*argv, environment=environment, LC_ALL=locale) == 0
    assert b"MINE=" + os.fsencode(value) in target.read_bytes().split(b"\0")


def test_only_the_listed_environment_gets_in(node: Node) -> None:
    show = "import os, json; print(json.dumps(dict(os.environ)))"
    hostile = "a b\n$X 'q' \"r\" `s` \\ =é"
    node.run("python3", "-c", show, environment=(f"MINE={hostile}",), PRIVATE="1", https_proxy="http://p:1")
    seen = json.loads(node.log())
    assert seen["MINE"] == hostile
    assert seen["SLURM_JOB_ID"] == "7"
    assert seen["SLIPWAY_RUN"] == "k3f9-cpu-20260131-142530"
    assert seen["SLIPWAY_ATTEMPT"] == "1"
    assert seen["SLIPWAY_OUT"] == "/out"
    assert seen["OMP_NUM_THREADS"] == "2"
    assert seen["https_proxy"] == "http://p:1"
    assert "PRIVATE" not in seen
    assert "SLIPWAY_PREVIOUS" not in seen
    assert "HOME" not in seen


@pytest.mark.parametrize(("code", "reason"), [(0, "ok"), (3, "program-error"), (200, "program-error")])
def test_the_programs_exit_code_is_the_jobs(node: Node, code: int, reason: str) -> None:
    assert node.run("sh", "-c", f"exit {code}") == code
    result = node.result()
    assert (result["exit_code"], result["reason"], result["signal"]) == (code, reason, None)
    assert result["job_id"] == "7"
    assert result["node"] == "node1"
    assert list((node.run_dir / "attempt-1" / "out").iterdir()) == []


def test_a_program_that_dies_of_a_signal(node: Node) -> None:
    assert node.run("sh", "-c", "kill -SEGV $$") == 139
    assert node.result()["signal"] == signal.SIGSEGV
    assert node.result()["reason"] == "program-error"


def test_a_container_that_does_not_start(node: Node) -> None:
    assert node.run("true", NO_LAUNCH="1") == 255
    assert node.result()["reason"] == "launch-failure"
    assert "could not open image" in node.log()
    assert list((node.run_dir / "attempt-1" / "out").iterdir()) == []


def test_a_program_that_is_not_there(node: Node) -> None:
    assert node.run("no-such-program") == 127
    assert node.result()["reason"] == "launch-failure"
    assert "no-such-program: there is no such program in the image" in node.log()


def test_the_program_gets_no_ignored_signals(node: Node) -> None:
    assert node.run("grep", "SigIgn", "/proc/self/status") == 0
    # Those that the tests themselves were started with, by nohup say, are not the script's doing.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    inherited = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert int(node.log().split()[1], 16) & ~inherited & ~(1 << signal.SIGPIPE - 1) == 0


def with_lines(tmp_path: Path, lines: str, **changes: object) -> Node:
    return Node(tmp_path / "node", SITE.model_copy(update={"before": lines}), **changes)


def test_a_module_that_cannot_be_loaded(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", SITE.model_copy(update={"modules": ("nothing",)}))
    assert node.run("echo", "reached") == 1
    assert node.result()["reason"] == "launch-failure"
    assert "module: command not found" in node.log()
    assert "reached" not in node.log()


@pytest.mark.parametrize(
    "lines", ["exit 0", "trap 'exit 0' TERM; kill -TERM $$", "set -e; false", "exec true"]
)
def test_lines_of_the_site_that_end_the_job_are_no_success(tmp_path: Path, lines: str) -> None:
    node = with_lines(tmp_path, lines)
    code = node.run("echo", "reached")
    assert "reached" not in node.log()
    if lines == "exec true":
        # Nothing of the script is left then. That there is no result is what tells it.
        assert code == 0
        assert not (node.run_dir / "attempt-1" / "result.json").exists()
    else:
        assert code == 1
        assert (node.result()["reason"], node.result()["exit_code"]) == ("launch-failure", 1)
        assert "the job ended before its program began" in node.log()


@pytest.mark.parametrize(
    "lines",
    [
        "set -eu -o pipefail",
        "set -f -C; shopt -s nullglob failglob",
        "cd /proc",
        "IFS=:",
        "trap 'exit 0' EXIT ERR",
        "trap '' TERM",
        "run_dir=/nowhere; attempt=9; here=/nowhere",
        "finish() { exit 0; }",
        "umask 777",
        "exec </dev/zero",
        "sleep 30 & true",
    ],
)
def test_lines_of_the_site_change_no_ending(tmp_path: Path, lines: str) -> None:
    node = with_lines(tmp_path, lines)
    assert node.run("sh", "-c", "echo running; exit 3") == 3
    assert (node.result()["reason"], node.result()["exit_code"]) == ("program-error", 3)
    assert node.log().endswith("running\n")


def test_a_warning_that_comes_before_the_program(tmp_path: Path) -> None:
    node = with_lines(tmp_path, "kill -USR1 $$")
    assert node.run("echo", "reached") == 1
    assert node.result()["reason"] == "time-limit"
    assert node.log() == "slipway: node1: the time limit is too near to begin\n"
    assert list((node.run_dir / "attempt-1" / "out").iterdir()) == []


def test_cancelled_before_the_program(tmp_path: Path) -> None:
    node = with_lines(tmp_path, "kill -TERM $$")
    assert node.run("echo", "reached") == 143
    assert node.result()["reason"] == "cancelled"
    assert node.log() == ""


def test_a_requeued_job_is_a_new_attempt_and_sees_the_last(node: Node) -> None:
    assert node.run("sh", "-c", "exit 1") == 1
    assert node.run("sh", "-c", "echo $SLIPWAY_ATTEMPT $SLIPWAY_PREVIOUS", SLURM_RESTART_COUNT="1") == 0
    assert node.result(1)["reason"] == "program-error"
    assert node.result(2)["reason"] == "ok"
    assert node.log(2) == "2 /previous\n"


def wait_for(node: Node, word: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ((node.run_dir / "attempt-1" / "log").exists() and word in node.log()):
        assert time.monotonic() < deadline, f"{word!r} did not come"
        time.sleep(0.02)


SAVER = """
import os, signal, sys, time
def save(*_):
    os.write(1, b'saved\\n')  # it may come in the midst of a print, in which none begins
    sys.exit(int(sys.argv[1]))
signal.signal(getattr(signal, sys.argv[2]), save)
print('running', flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("code", [0, 5])
def test_before_the_time_limit_the_program_can_save(node: Node, code: int) -> None:
    with node.start("python3", "-c", SAVER, str(code), "SIGUSR1") as process:
        wait_for(node, "running")
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=PATIENCE_S) == code
    assert node.result()["reason"] == "time-limit"
    assert node.result()["exit_code"] == code
    assert node.log() == "running\nsaved\n"


SHELL_SAVER = "trap 'echo saved; exit 5' USR1; echo running; while :; do sleep 0.1; done"


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_script_can_save_too(node: Node, shell: str) -> None:
    # A shell cannot trap a signal that was ignored when it began.
    with node.start(shell, "-c", SHELL_SAVER) as process:
        wait_for(node, "running")
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=PATIENCE_S) == 5
    assert (node.result()["reason"], node.log()) == ("time-limit", "running\nsaved\n")


@pytest.mark.parametrize(
    ("program", "code", "reason"),
    [
        # What ends by itself although the limit is near has done what it was to do.
        ("echo running; sleep 1; echo done", 0, "ok"),
        ("echo running; sleep 1; echo done; exit 3", 3, "program-error"),
        ("trap '' USR1; echo running; sleep 1; echo done", 0, "ok"),
    ],
)
def test_a_program_without_a_handler_does_not_notice_the_warning(
    node: Node, program: str, code: int, reason: str
) -> None:
    with node.start("sh", "-c", program) as process:
        wait_for(node, "running")
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=PATIENCE_S) == code
    assert (node.result()["reason"], node.result()["exit_code"]) == (reason, code)
    assert node.log() == "running\ndone\n"


@pytest.mark.parametrize("told", ["the script", "the program", "both"])
def test_a_program_without_a_handler_is_ended_by_the_limit(node: Node, told: str) -> None:
    with node.start("sh", "-c", "echo $$; echo running; exec sleep 600") as process:
        wait_for(node, "running")
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        assert process.poll() is None
        # At the limit SLURM tells all processes or only the script, and in no order.
        if told != "the script":
            os.kill(int(node.log().split()[0]), signal.SIGTERM)
        if told != "the program":
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 143
    assert (node.result()["reason"], node.result()["exit_code"]) == ("time-limit", 143)


def test_cancelled(node: Node) -> None:
    with node.start("python3", "-c", SAVER, "4", "SIGTERM") as process:
        wait_for(node, "running")
        # As SLURM does where it tracks processes by cgroups: nobody but the script is told.
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 4
    assert node.result()["reason"] == "cancelled"
    assert node.log() == "running\nsaved\n"


def test_a_program_without_a_handler_dies_of_sigterm(node: Node) -> None:
    with node.start("sh", "-c", "echo running; exec sleep 600") as process:
        wait_for(node, "running")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 143
    assert node.result()["reason"] == "cancelled"


def test_each_task_of_an_array_has_its_own_folder(node: Node) -> None:
    for task in ("3", "12"):
        assert node.run("sh", "-c", "echo $SLURM_ARRAY_TASK_ID", SLURM_ARRAY_TASK_ID=task) == 0
        folder = node.run_dir / f"task-{task}" / "attempt-1"
        assert (folder / "log").read_text() == f"{task}\n"
        assert json.loads((folder / "result.json").read_text())["task"] == int(task)
    assert not (node.run_dir / "attempt-1").exists()


class Disk:
    """A node with a disk of its own, an image in scratch, and caches there."""

    def __init__(self, folder: Path) -> None:
        self.local = folder / "local"
        self.local.mkdir()
        self.cache = folder / "scratch" / "cache" / "mine"
        self.cache.mkdir(parents=True)
        content = os.urandom(100_000)
        digest = hashlib.sha256(content).hexdigest()[:16]
        self.image = folder / "scratch" / f"a-{digest}.sif"
        self.image.write_bytes(content)
        self.copy = self.local / f"slipway-{os.environ.get('USER', 'root')}" / "images" / self.image.name

    def node(self, folder: Path, where: str | None = None) -> Node:
        site: SlurmSite = SITE.model_copy(
            update={"paths": Paths(scratch="/s", node_local=where or str(self.local))}
        )
        image, cache = PurePosixPath(self.image), PurePosixPath(self.cache)
        return Node(folder, site, image=image, cache=cache)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def image_of(node: Node) -> str:
    return (node.run_dir / "attempt-1" / "image").read_text().strip()


def test_the_image_is_copied_to_the_node_once(disk: Disk, tmp_path: Path) -> None:
    nodes = [disk.node(tmp_path / name) for name in ("one", "two", "three")]
    processes = [node.start("sleep", "0.5") for node in nodes[:2]]
    assert [process.wait(timeout=PATIENCE_S) for process in processes] == [0, 0]
    assert nodes[2].run("true") == 0
    assert [image_of(node) for node in nodes] == [str(disk.copy)] * 3
    assert sum("image copied to" in node.log() for node in nodes) == 1
    assert disk.copy.read_bytes() == disk.image.read_bytes()


@pytest.mark.parametrize("left", ["part", "short"])
def test_what_a_cut_copy_left_is_never_used(disk: Disk, tmp_path: Path, left: str) -> None:
    disk.copy.parent.mkdir(parents=True)
    place = disk.copy if left == "short" else disk.copy.with_name(disk.copy.name + ".part")
    place.write_bytes(b"x")
    node = disk.node(tmp_path / "node")
    assert node.run("true") == 0
    assert disk.copy.read_bytes() == disk.image.read_bytes()
    assert [file.name for file in disk.copy.parent.glob("*.part")] == []


def test_a_damaged_copy_is_never_used(disk: Disk, tmp_path: Path) -> None:
    disk.image.write_bytes(b"not what its name says")
    node = disk.node(tmp_path / "node")
    assert node.run("true") == 0
    assert image_of(node) == str(disk.image)
    assert list(disk.copy.parent.glob("*.sif")) + list(disk.copy.parent.glob("*.part")) == []
    assert "the copy of the image is damaged" in node.log()
    assert "the image is used from scratch" in node.log()


@pytest.mark.parametrize("where", ["/no/such/folder", "$NOT_SET_ANYWHERE", "/proc"])
def test_without_a_disk_scratch_serves(disk: Disk, tmp_path: Path, where: str) -> None:
    node = disk.node(tmp_path / "node", where)
    assert node.run("true") == 0
    assert image_of(node) == str(disk.image)
    assert "the image is used from scratch" in node.log()


# A stand-in for a full disk: it says that there is room only when another image's file is gone, and more.
DF = r"""#!/bin/bash
echo Avail
if [ -e "$OLD_IMAGE" ]; then echo 5; else echo 999999; fi
echo Mind your quota
"""


@pytest.mark.parametrize("used", [False, True])
def test_images_that_no_job_uses_make_room(disk: Disk, tmp_path: Path, used: bool) -> None:
    other = disk.copy.with_name("b-0.sif")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    node = disk.node(tmp_path / "node")
    (node.folder / "df").write_text(DF)
    (node.folder / "df").chmod(0o755)
    lock = os.open(f"{other}.lock", os.O_CREAT | os.O_RDWR)
    try:
        if used:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_SH)
        assert node.run("true", OLD_IMAGE=str(other)) == 0
    finally:
        os.close(lock)
    assert other.exists() is used
    assert image_of(node) == str(disk.image if used else disk.copy)
    assert ("has no room for the image" in node.log()) is used


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed here")
def test_caches_are_brought_to_the_node_and_back(disk: Disk, tmp_path: Path) -> None:
    (disk.cache / "old").write_text("from scratch")
    node = disk.node(tmp_path / "node")
    there = disk.local / disk.copy.parents[1].name / "cache" / "mine"
    assert node.run("sh", "-c", f'cat {there}/old; echo "$XDG_CACHE_HOME" >{there}/new; exit 4') == 4
    assert node.log().endswith("from scratch")
    assert (disk.cache / "new").read_text() == "/cache\n"


def test_a_job_that_is_cancelled_while_it_copies(disk: Disk, tmp_path: Path) -> None:
    disk.copy.parent.mkdir(parents=True)
    lock = os.open(f"{disk.copy}.lock", os.O_CREAT | os.O_RDWR)
    import fcntl

    # Another job copies.
    fcntl.flock(lock, fcntl.LOCK_EX)
    node = disk.node(tmp_path / "node")
    try:
        with node.start("echo", "reached") as process:
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE_S) == 143
    finally:
        os.close(lock)
    assert node.result()["reason"] == "cancelled"
    assert "reached" not in node.log()


def test_what_start_files_put_in_the_place_of_commands_is_not_called(node: Node) -> None:
    (node.folder / ".profile").write_text(
        'shopt -s expand_aliases; alias cat="cat -n" mv="mv -v"\n'
        'cd() { builtin cd "$@" && echo now in; }; printf() { echo pf; }; export -f cd printf\n'
    )
    assert node.run("sh", "-c", 'echo "$1 $MINE"', "sh", "a b", environment=("MINE=c",)) == 0
    assert node.result()["reason"] == "ok"
    assert node.log() == "a b c\n"
