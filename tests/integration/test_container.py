"""A profile's container on this machine: the real engine, a small image, a caller who is not root."""

import io
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest

from slipway.image.engine import engine
from slipway.local import container as local
from slipway.project import Project
from slipway.steps.container import describe
from slipway.steps.session import Session
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
