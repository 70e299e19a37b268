"""A profile's container on this machine: the real engine, a small image, a caller who is not root."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pexpect
import pytest

from slipway.image.engine import engine
from slipway.local import container as local
from slipway.project import Project
from slipway.steps.container import describe
from slipway.steps.session import Session
from tests.campaign import others_long
from tests.integration.task_runner import INVOKE, ROOT
from tests.waiting import PATIENCE_S, wait_until

IMAGE = "slipway-test-container"
UID = 4321


class Laptop:
    """A folder with code and data, and the tasks there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state, self.results = folder / "state", folder / "results"
        for name in ("code", "data"):
            (folder / name).mkdir()
            (folder / name / "file").write_text(f"{name}\n")
        sets = [f"IMAGE={IMAGE}", f"CODE_DIR={folder}/code", f"DATA_DIR={folder}/data", "ENV_MINE=a $b 'c'"]
        self.options = ["--profile", "cpu", *[word for one in sets for word in ("--set", one)]]
        states = {"SLIPWAY_STATE": str(self.state), "SLIPWAY_RESULTS": str(self.results)}
        self.environment = {**os.environ, **states, "TERM": "xterm"}

    def invoke(self, task: str, *words: str, code: int = 0, content: bytes = b"") -> tuple[bytes, bytes]:
        done = subprocess.run(
            [*INVOKE, task, *self.options, *words],
            cwd=ROOT,
            env=self.environment,
            input=content,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert b"Traceback" not in done.stderr
        return done.stdout, done.stderr

    @property
    def session(self) -> Session:
        return Session(project=Project(root=ROOT, state=self.state, results=self.results))


@pytest.fixture(scope="module")
def image() -> str:
    base = Session(project=Project.find(ROOT)).profile("cpu").base_image
    text = f"FROM {base}\nLABEL slipway.test=container\n"
    engine().images.build(fileobj=io.BytesIO(text.encode()), tag=IMAGE)
    return IMAGE


@pytest.fixture
def laptop(tmp_path: Path, image: str) -> Iterator[Laptop]:
    made = Laptop(tmp_path)
    yield made
    made.invoke("stop")


def test_the_life_of_a_container(laptop: Laptop) -> None:
    assert b"no container that runs" in laptop.invoke("enter", "--", "true", code=64)[1]
    port = ["--set", "PORTS=18765:8000"]
    assert laptop.invoke("start", *port)[0].endswith(b" runs\n")
    assert laptop.invoke("start", *port)[0].endswith(b" runs already\n")
    assert b"has changed since it was started" in laptop.invoke("start", "--set", "PORTS=18766")[1]
    # Arguments, input, both outputs and the exit code are as they are.
    script = 'printf "%s|" "$@" "$MINE" "$PWD" "$SLIPWAY_OUT"; cat; echo no >&2; exit 3'
    content = bytes(range(256)) * 1000
    words = ["a 'b'", "$c *", "", "new\nline"]
    output, errors = laptop.invoke("enter", "--", "sh", "-c", script, "x", *words, code=3, content=content)
    assert output == b"a 'b'|$c *||new\nline|a $b 'c'|/code|/out|" + content
    assert errors.endswith(b"no\n")
    assert b"no such program in the image" in laptop.invoke("enter", "--", "no-such", code=127)[1]
    look = "cat /code/file /data/file; ls /weights; touch /out/made; touch /code/x || touch /data/x"
    output, errors = laptop.invoke("enter", "--", "sh", "-c", look, code=1)
    assert output == b"code\ndata\n"
    assert errors.count(b"Read-only file system") == 2
    # Edits here are seen at once.
    (laptop.folder / "code" / "file").write_text("edited\n")
    assert laptop.invoke("enter", "--", "cat", "/code/file")[0] == b"edited\n"
    serve = "perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(LocalPort=>8000,Listen=>1,ReuseAddr=>1);"
    serve += (
        'while($c=$s->accept){<$c>;print $c "HTTP/1.0 200 OK\\r\\n\\r\\nserved";close $c}\' >/dev/null 2>&1 &'
    )
    laptop.invoke("enter", "--", "sh", "-c", serve)
    assert wait_until(lambda: fetch("http://127.0.0.1:18765/"), "no page") == b"served"
    laptop.invoke("stop")
    assert b"has no container here" in laptop.invoke("stop")[0]
    laptop.invoke("copy", "--into", str(laptop.folder / "copied"))
    assert [file.name for file in (laptop.folder / "copied").iterdir()] == ["made"]


def fetch(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - it is ours
            return bytes(answer.read())
    except OSError:
        return b""


def test_a_terminal(laptop: Laptop) -> None:
    laptop.invoke("start")
    child = pexpect.spawn(
        sys.executable,
        [*INVOKE[1:], "enter", *laptop.options],
        cwd=str(ROOT),
        env=laptop.environment,
        timeout=PATIENCE_S,
        encoding="utf-8",
        dimensions=(33, 111),
    )
    try:
        child.expect(":/code")
        child.sendline("stty size; echo $((6*7)) $TERM")
        child.expect("33 111\r\n42 xterm\r\n")
        child.setwinsize(44, 99)
        child.sendline("sleep 600")
        child.expect("sleep 600\r\n")
        child.send("\x03")
        child.sendline("stty size; exit 5")
        child.expect("44 99\r\n")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 5
    finally:
        child.close(force=True)


@pytest.mark.long
def test_a_short_program_at_a_terminal(laptop: Laptop) -> None:
    laptop.invoke("start")
    for _ in range(3):  # it may be over before its terminal has a size
        output, status = pexpect.run(
            shlex.join([sys.executable, *INVOKE[1:], "enter", *laptop.options, "--", "echo", "short"]),
            cwd=str(ROOT),
            env=laptop.environment,
            timeout=PATIENCE_S,
            withexitstatus=True,
        )
        assert (output.decode().splitlines()[-1], status) == ("short", 0)


def job(
    laptop: Laptop, *words: str, code: int = 0, sets: tuple[str, ...] = ()
) -> tuple[bytes, dict[str, Any]]:
    """Run a job's program here; what it printed, and what its record says."""
    flags = [word for one in sets for word in ("--set", one)]
    shown, _ = laptop.invoke("job", "--set", "PROGRAM=perl", *flags, "--local", *words, code=code)
    output, _, end = shown.rpartition(b"run ")
    (home,) = (one for one in laptop.results.iterdir() if one.name.encode() in end)
    result = json.loads((home / "attempt-1" / "result.json").read_text())
    assert (home / "attempt-1" / "log").read_bytes() == output
    return output, {**result, "home": home}


def test_a_job_of_this_machine(laptop: Laptop) -> None:
    script = '$| = 1; print join("|", @ARGV, $ENV{MINE}, $ENV{SLIPWAY_RUN}), "\\n"; print STDERR "no\\n";'
    script += 'open(F, ">/out/file"); print F "written\\n"; close F; open(F, ">/code/x") && die; exit 4'
    words = ["a 'b'", "$c *", "", os.fsdecode(b"\xff\n")]
    output, result = job(laptop, "--name", "mine", "--", "-e", script, *words, code=4)
    run_id = result["run_id"]
    assert output == b"a 'b'|$c *||\xff\n|a $b 'c'|" + run_id.encode() + b"\nno\n"
    assert (result["exit_code"], result["reason"]) == (4, "program-error")
    home = result["home"]
    assert (home / "out" / "file").read_text() == "written\n"
    listed = subprocess.run(
        [*INVOKE, "status", "--json"], cwd=ROOT, env=laptop.environment, capture_output=True, check=True
    ).stdout
    (run,) = json.loads(listed)
    assert (run["run_id"], run["site"], run["state"], run["exit_code"]) == (
        run_id,
        "this-machine",
        "FAILED",
        4,
    )
    # Neither the container nor the copy of the code is left.
    assert not [one for one in engine().containers.list(all=True) if one.name.endswith(run_id[:4])]
    assert not list((laptop.state / "local" / ".code").iterdir())
    show = ["logs", "mine", "--tail", "1"]
    done = subprocess.run([*INVOKE, *show], cwd=ROOT, env=laptop.environment, capture_output=True, check=True)
    assert done.stdout == b"no\n"
    assert b"has no --array" in laptop.invoke("job", "--local", "--array", "0-1", "--", "x", code=64)[1]


SAVES = '$SIG{%s} = sub { print "saved\\n"; exit %s }; $| = 1; print "go\\n"; sleep 1 while 1'


@pytest.mark.long
def test_how_a_job_of_this_machine_ends(laptop: Laptop) -> None:
    # The warning comes in the middle of so short a time.
    output, result = job(laptop, "--time", "0:20", "--", "-e", SAVES % ("USR1", 0), code=1)
    assert (output, result["exit_code"], result["reason"]) == (b"go\nsaved\n", 0, "time-limit")
    # One without a handler for it runs to the limit.
    output, result = job(laptop, "--time", "0:04", "--", "-e", SAVES % ("TERM", 9), code=9)
    assert (output, result["exit_code"], result["reason"]) == (b"go\nsaved\n", 9, "time-limit")
    _, result = job(laptop, "--mem", "50M", "--", "-e", '$a = "x" x 200000000', code=137)
    assert (result["signal"], result["reason"]) == (9, "out-of-memory")
    _, result = job(laptop, "--", "x", code=127, sets=("PROGRAM=no-such",))
    assert result["reason"] == "launch-failure"


@contextmanager
def running(laptop: Laptop, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A job of this machine that has begun to print."""
    words = ["job", *laptop.options, "--set", "PROGRAM=perl", "--local", "--", "-e", script]
    with subprocess.Popen(
        [*INVOKE, *words], cwd=ROOT, env=laptop.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        yield process


def status(laptop: Laptop) -> tuple[dict[str, Any], bytes]:
    done = subprocess.run(
        [*INVOKE, "status", "--json"], cwd=ROOT, env=laptop.environment, capture_output=True, check=True
    )
    (run,) = json.loads(done.stdout)
    return run, done.stderr


def left_of(laptop: Laptop, run_id: str) -> list[object]:
    """Containers, copies of the code, environments and locks of a run."""
    label = {"label": f"slipway.local.run={run_id}"}
    return [
        *engine().containers.list(all=True, filters=label),
        *(laptop.state / "local" / ".code").iterdir(),
        *laptop.results.rglob(".slipway-entry*"),
        *laptop.state.rglob("*.lock"),
    ]


@pytest.mark.parametrize("name", others_long(["SIGINT", "SIGTERM", "SIGHUP"], "SIGINT"))
def test_a_signal_cancels_a_job_of_this_machine(laptop: Laptop, name: str) -> None:
    with running(laptop, SAVES % ("TERM", 5)) as process:
        process.send_signal(getattr(signal, name))
        output, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 5, errors
    assert output.startswith(b"saved\n")
    assert b"CANCELLED  cancelled  exit code 5" in output


@pytest.mark.long
def test_a_job_of_this_machine_is_followed_and_cancelled_from_another_terminal(laptop: Laptop) -> None:
    with running(laptop, SAVES % ("TERM", 5)) as process:
        (home,) = laptop.results.iterdir()
        follow = [*INVOKE, "logs", home.name, "--follow"]
        with subprocess.Popen(follow, cwd=ROOT, env=laptop.environment, stdout=subprocess.PIPE) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == b"go\n"
            cancel = [*INVOKE, "cancel", home.name]
            done = subprocess.run(
                cancel, cwd=ROOT, env=laptop.environment, capture_output=True, check=True, timeout=PATIENCE_S
            )
            assert done.stdout == f"{home.name} is CANCELLED\n".encode()
            shown, _ = follower.communicate(timeout=PATIENCE_S)
        output, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 5, errors
    end = b"CANCELLED  cancelled  exit code 5"
    assert output.startswith(b"saved\n")
    assert end in output
    assert (shown.startswith(b"saved\n"), end in shown, follower.returncode) == (True, True, 5)
    assert left_of(laptop, home.name) == []


@pytest.mark.long
def test_a_job_of_this_machine_whose_command_is_killed(laptop: Laptop) -> None:
    script = 'open(F, ">/out/file"); print F "written"; close F; $| = 1; print "go\n"; sleep 600'
    with running(laptop, script) as process:
        run, _ = status(laptop)
        assert (run["site"], run["state"]) == ("this-machine", "RUNNING")
        process.kill()
    assert left_of(laptop, run["run_id"])
    ended, told = status(laptop)
    assert (ended["state"], ended["reason"], ended["exit_code"]) == ("CANCELLED", "cancelled", 137)
    assert b"its command was killed before its end" in told
    assert left_of(laptop, run["run_id"]) == []
    # What the program wrote stays.
    assert (laptop.results / run["run_id"] / "out" / "file").read_text() == "written"
    assert b"killed" not in status(laptop)[1]


@pytest.mark.long
def test_a_program_that_ends_well_after_its_command_was_killed(laptop: Laptop) -> None:
    with running(laptop, '$| = 1; print "go\n"; sleep 1 until -e "/out/end"') as process:
        process.kill()
    (home,) = laptop.results.iterdir()
    label = {"label": f"slipway.local.run={home.name}"}
    (container,) = engine().containers.list(filters=label)
    (home / "attempt-1" / "out" / "end").touch()
    container.wait()
    # The next job finds it, too.
    job(laptop, "--", "-e", "1")
    (shown,) = (laptop.state / "runs").glob(f"{home.name}.json")
    ended = json.loads(shown.read_text())["status"]
    assert (ended["state"], ended["exit_code"]) == ("COMPLETED", 0)
    assert left_of(laptop, home.name) == []


def test_results_of_a_job_of_this_machine_stay_when_its_reader_goes(laptop: Laptop) -> None:
    script = 'open(F, ">/out/file"); close F; $| = 1; print "go\n"; while (1) { print "x\n"; sleep 1 }'
    with running(laptop, script) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(PATIENCE_S) != 0
    run, _ = status(laptop)
    assert (run["state"], run["reason"]) == ("CANCELLED", "cancelled")
    assert (laptop.results / run["run_id"] / "out" / "file").exists()
    assert left_of(laptop, run["run_id"]) == []


def test_files_belong_to_the_caller(laptop: Laptop) -> None:
    """The tests run as root, so the caller is somebody else by the machine that is described."""
    session, client = laptop.session, engine()
    sets = [word for word in laptop.options[2:] if word != "--set"]
    wanted = describe(session, client, session.profile("cpu", sets))
    wanted = replace(wanted, machine=replace(wanted.machine, user=f"{UID}:{UID}"))
    (out,) = (one.here for one in wanted.mounts if str(one.there) == "/out")
    os.chown(out, UID, UID)
    local.start(client, wanted)
    script = 'id -un; touch /out/made "$HOME/made"; touch /etc/made 2>/dev/null || echo refused'
    output, _ = laptop.invoke("enter", "--", "sh", "-c", script)
    assert output == b"slipway\nrefused\n"
    assert ((out / "made").stat().st_uid, (out / "made").stat().st_gid) == (UID, UID)
