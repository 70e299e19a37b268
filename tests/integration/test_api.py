"""The Python API on the box, from a user's repository: one login, lines that are cut, threads, asyncio."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import slipway.host.host
from slipway import Project, Run, State
from slipway.api import connections
from slipway.errors import ConnectionLostError, RunFailedError, SshError, UsageError, WaitTimeoutError
from tests.integration.cuttable_proxy import CuttableProxy
from tests.integration.small_image import IMAGE, SmallImageBox
from tests.integration.task_runner import ROOT
from tests.waiting import PATIENCE_S

BASE = f"IMAGE={IMAGE}\nDOCKERFILE=Dockerfile\nPROGRAM=\nCODE_DIR=.\nSITE=box\nCPUS=1\nMEM=200M\nTIME=10\n"


@pytest.fixture
def root(small: SmallImageBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's repository, whose site is the box."""
    monkeypatch.setenv("SLIPWAY_STATE", str(small.session.project.state))
    monkeypatch.delenv("SLIPWAY_RESULTS", raising=False)
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".env.base").write_text(BASE)
    (tmp_path / "code.txt").write_text("code\n")
    return tmp_path


@pytest.fixture
def project(root: Path) -> Iterator[Project]:
    with Project(root) as project:
        yield project


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with each login."""
    made, connect = [], slipway.host.host.connect

    def counted(*args: object) -> object:
        made.append("login")
        return connect(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(slipway.host.host, "connect", counted)
    return made


def test_a_run_from_its_submission_to_its_results(
    project: Project, logins: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    script = 'cat code.txt; printf "%s|" "$@"; echo; echo \'{"loss": 0.25}\' >/out/figures.json; exit 3'
    run = project.submit(["sh", "-c", script, "sh", "a b", b"\xff", "$HOME"], gpus="a100:1")
    assert run.state == "PENDING"
    assert run.job_id is not None
    assert list(run.logs(follow=True)) == ["code", r"a b|\xff|$HOME|"]
    assert (run.state, run.reason, run.exit_code, run.attempt) == (State.FAILED, "program-error", 3, 1)
    assert run.is_over
    assert list(run.logs()) == ["code", r"a b|\xff|$HOME|"]
    with pytest.raises(RunFailedError, match="exit code 3"):
        run.wait(check=True)
    results = run.pull()
    assert results.figures == {"figures": {"loss": 0.25}}
    assert results.out is not None
    assert (results.out / "figures.json").is_file()
    assert results.folder == project.root / "results" / run.id
    assert logins == ["login"]
    # Another process of tomorrow has it all, and logs in for nothing of this.
    again = Project(project.root).run(run.id[:9])
    assert (again.state, again.results) == (State.FAILED, results)
    assert logins == ["login"]
    second = run.replay(name="twice", time=3).wait(timeout_s=PATIENCE_S)
    assert second.id != run.id
    assert second.argv == run.argv
    assert list(second.logs()) == ["code", r"a b|\xff|$HOME|"]
    assert logins == ["login"]
    with pytest.raises(UsageError, match="colour='red'"):
        run.replay(colour="red")
    assert capfd.readouterr() == ("", "")


def test_packed_data(project: Project, tmp_path: Path) -> None:
    (tmp_path / "yard").mkdir()
    (tmp_path / "yard" / "a").write_text("one\n")
    with pytest.raises(UsageError, match="add --pack"):
        project.stage(tmp_path / "yard", via="bucket:x")
    yard = project.stage(tmp_path / "yard", pack=True)
    run = project.submit(["cat", str(yard / "a")])
    assert run.wait(timeout_s=PATIENCE_S).state is State.COMPLETED
    assert "one" in [line.strip() for line in run.logs()]


def test_a_wait_that_ends_before_the_run(project: Project) -> None:
    run = project.submit(["sleep", "600"])
    with pytest.raises(WaitTimeoutError, match=rf"{run.id} is \w+ after 2 s, and goes on"):
        run.wait(timeout_s=2)
    assert not run.is_over
    assert next(one for one in project.runs() if one.id == run.id).state in ("PENDING", "RUNNING")
    assert run.cancel().wait(timeout_s=PATIENCE_S).reason == "cancelled"
    assert run.state == "CANCELLED"


def test_lines_that_are_cut(
    small: SmallImageBox, project: Project, proxy: CuttableProxy, logins: list[str]
) -> None:
    # After each of two lines it waits until the line to it was cut.
    waits = "case $i in 5|20) until [ -e /out/$i ]; do sleep 0.1; done; esac"
    run = project.submit(["sh", "-c", f"for i in $(seq 40); do echo line $i; {waits}; done"])
    out = f"{small.session.store.find(run.id).run_dir}/attempt-1/out"
    seen = []
    for line in run.logs(follow=True):
        seen.append(line)
        if line in ("line 5", "line 20"):
            proxy.cut()
            small.as_root("touch", f"{out}/{line.split()[1]}")
    assert seen == [f"line {number}" for number in range(1, 41)]
    assert run.state == "COMPLETED"
    assert len(logins) == 3
    # What may be asked twice is, with a new login; that also finds it where nobody notices the cut before.
    proxy.cut()
    assert list(run.logs()) == seen
    proxy.cut()
    assert run.pull().out is not None
    assert len(logins) == 5
    proxy.cut(mend=False)
    with pytest.raises(SshError):
        run.refresh()
    proxy.mend()
    assert run.refresh().state == "COMPLETED"


@pytest.mark.long
def test_a_submission_is_not_tried_again(
    project: Project, proxy: CuttableProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.submit(["true"]).wait(timeout_s=PATIENCE_S)
    # The line goes while the connection idles: that is found out before anything is sent.
    monkeypatch.setattr(connections, "IDLE_S", 0.0)
    proxy.cut()
    before = {run.id for run in project.runs()}
    run = project.submit(["true"])
    # It goes again when SLURM is asked to take the job.
    cutting = Project(project.root, progress=lambda text: proxy.cut() if "Submitting" in text else None)
    with cutting, pytest.raises(ConnectionLostError, match="is not known; `invoke status` finds out"):
        cutting.submit(["true"])
    new = [one for one in project.runs() if one.id not in {run.id, *before}]
    assert len(new) == 1
    new[0].wait(timeout_s=PATIENCE_S)
    assert (new[0].state, new[0].reason) in ((State.COMPLETED, "ok"), (State.FAILED, "launch-failure"))


def test_threads_share_the_connection(project: Project, logins: list[str]) -> None:
    done: list[Run] = []

    def one(number: int) -> None:
        run = project.submit(["sh", "-c", f"echo thread {number}"])
        lines = list(run.logs(follow=True))
        assert lines == [f"thread {number}"], lines
        assert run.pull().out is not None
        done.append(run.wait(timeout_s=PATIENCE_S, check=True))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len({run.id for run in done}) == 4
    assert logins == ["login"]


def test_in_an_event_loop_as_in_a_notebook(project: Project) -> None:
    """A notebook's cells run in a thread that has a running event loop."""

    async def cells() -> None:
        run = project.submit(["sh", "-c", "sleep 2; echo done"])
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.1)

        ticking = asyncio.create_task(tick())
        # Without blocking the loop, and with it.
        await asyncio.to_thread(run.wait, PATIENCE_S)
        ticking.cancel()
        assert ticks > 5
        assert list(run.logs()) == ["done"]

    asyncio.run(cells(), debug=True)


def examples() -> tuple[str, dict[str, str]]:
    """The code of docs/api.md as one program, and the files that it shows."""
    text = (ROOT / "docs" / "api.md").read_text()
    blocks = re.findall(r'^```python(?: title="(.*?)")?\n(.*?)^```$', text, re.M | re.S)
    return "\n".join(code for title, code in blocks if not title), {
        name: code for name, code in blocks if name
    }


@pytest.mark.long
def test_the_examples_of_the_documentation(root: Path) -> None:
    program, files = examples()
    (root / "env" / ".env.base").write_text(BASE.replace(IMAGE, "slipway-test-api"))
    # The smallest image here that has Python.
    (root / "Dockerfile").write_text("FROM slipway-apptainer\n")
    (root / ".dockerignore").write_text("results\n")
    (root / "photos").mkdir()
    (root / "photos" / "1.png").write_text("a photo\n")
    for name, content in {**files, "example.py": program}.items():
        (root / name).write_text(content)
    # It uses public names alone, as a user's program does, and is typed.
    cache = ROOT / ".mypy_cache" / "api"
    typed = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), "example.py"]
    subprocess.run(typed, cwd=root, env={**os.environ, "MYPYPATH": str(ROOT)}, check=True, timeout=PATIENCE_S)
    argv = [sys.executable, "-W", "error", "example.py"]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:3] == ["100 steps with a learning rate of 0.001", "COMPLETED 0", "0.9090909090909091"]
    assert "True ok 1 0" in [re.sub("[0-9]+$", "0", line) for line in lines]
    assert "{'loss': 0.047619047619047616}" in lines
    assert "h100" in lines[-1]


SCRIPT = """
import sys
from slipway import Project
run = Project(sys.argv[1]).submit(["echo", "hello"])
print(*run.logs(follow=True))
"""


@pytest.mark.long
def test_nothing_is_said_when_nobody_closes_it(root: Path) -> None:
    argv = [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT, str(root)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
