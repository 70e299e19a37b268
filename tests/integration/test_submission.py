"""Each run is submitted once, or surely not at all, whatever is killed or cut and when."""

import io
import json
import math
import os
import random
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import JobError
from slipway.image.engine import engine, find_image
from slipway.image.look import look_for_image
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.job.selection import Selection
from slipway.job.submit import settle
from slipway.job.watch import follow
from slipway.scheduler.base import State
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.image import build, push
from slipway.steps.pull import pull
from slipway.steps.status import list_runs
from slipway.steps.submit import Push, submitted
from tests.campaign import LONG, rounds
from tests.conftest import Tell
from tests.faults import Made
from tests.integration.cuttable_proxy import CuttableProxy
from tests.integration.small_image import IMAGE, SmallImageBox
from tests.integration.task_runner import INVOKE, ROOT
from tests.waiting import PATIENCE_S, wait_until

# In the place of sbatch, by the PATH of the user's login shell. Its delays and its error are fakes; what it
# calls is the real one.
SLOW_SBATCH = """#!/bin/bash
sleep "$(cat ~/slow/before)"
/usr/bin/sbatch "$@"
code=$?
sleep "$(cat ~/slow/after)"
[ ! -e ~/slow/unanswered ] || { echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1; }
exit "$code"
"""


class UserCheckout:
    """Starts submissions in processes of their own, over a line that can be cut."""

    def __init__(self, small: SmallImageBox, proxy: CuttableProxy, config: str) -> None:
        self.small = small
        self.proxy = proxy
        self._config = config
        self._known: set[str] = set()
        self._slow: tuple[float, float, bool] | None = None

    def start(self, *args: str) -> subprocess.Popen[str]:
        profile = self.small.choice.profile
        overrides = [f"IMAGE={IMAGE}", f"CODE_DIR={profile.code_dir}", "PROGRAM=true"]
        state = str(self.small.session.project.state)
        wanted = {"state": state, "overrides": overrides, "ssh_config": self._config, "args": args}
        return subprocess.Popen(
            [sys.executable, "-m", "tests.integration.submit_program", json.dumps(wanted)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def started(self, process: subprocess.Popen[str]) -> Run:
        """The run of a submission, from the moment that its record is there."""
        store, known = self.small.session.store, self._known
        while True:
            # Not by reading all records: by then it may be over.
            if {file.stem for file in store.folder.glob("*.json")} - known:
                new = [run for run in store.select() if run.run_id not in known]
                self._known = known | {new[0].run_id}
                return new[0]
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)

    def remember(self) -> None:
        """From here on, all other runs are new."""
        self._known = {run.run_id for run in self.small.session.store.select()}

    def be_slow(self, before: float, after: float, *, unanswered: bool = False) -> None:
        """Let sbatch take so many seconds longer before and after SLURM has the job."""
        if (before, after, unanswered) == self._slow:
            return
        self._slow = (before, after, unanswered)
        mark = "touch ~/slow/unanswered" if unanswered else "rm -f ~/slow/unanswered"
        self.small.on_box(
            f"mkdir -p ~/slow; echo {before} >~/slow/before; echo {after} >~/slow/after; {mark}"
        )

    def jobs(self) -> dict[str, int]:
        """How many jobs of each name SLURM's controller has; it keeps them for five minutes."""
        names = re.findall(r" JobName=(\S+)", self.small.as_root("scontrol", "-o", "show", "job"))
        return {name: names.count(name) for name in names}

    def settled(self, run: Run) -> tuple[Run, float]:
        """What `status` says as soon as it knows, and after how many seconds that is."""
        began = time.monotonic()

        def known() -> Run | None:
            now = self.small.look(run.run_id)
            return None if now.state in (State.SUBMITTING, State.UNKNOWN) else now

        found = wait_until(known, lambda: self.small.situation(run))
        assert found is not None
        return found, time.monotonic() - began


@pytest.fixture(scope="module")
def checkout(small: SmallImageBox) -> Iterator[UserCheckout]:
    folder = small.session.project.state / "box"
    config = (folder / "ssh_config").read_text()
    port = re.search(r"Port (\d+)", config)
    assert port is not None
    proxy = CuttableProxy(int(port[1]))
    (folder / "ssh_config_cut").write_text(config.replace(f"Port {port[1]}", f"Port {proxy.port}"))
    checkout = UserCheckout(small, proxy, "box/ssh_config_cut")
    checkout.be_slow(0, 0)
    small.on_box(
        f"mkdir ~/fake; cat >~/fake/sbatch <<'EOF'\n{SLOW_SBATCH}EOF\n"
        "chmod 755 ~/fake/sbatch; echo '. ~/.profile; PATH=~/fake:$PATH' >~/.bash_profile"
    )
    yield checkout
    small.on_box("rm -rf ~/.bash_profile ~/fake ~/slow")
    proxy.close()


def kills(seed: int) -> list[tuple[str, float, float, float]]:
    """How each ends, how slow sbatch is before and after SLURM has the job, and after how many seconds.

    With ``math.inf`` that is as soon as SLURM has the job, however busy the machine is.
    """
    dice = random.Random(seed)  # noqa: S311 - moments, not secrets
    at_once = [("kill -9", 0.0, 0.0, 0.0) for _ in range(rounds(4, 1))]
    quick = [("kill -9", 0.0, 0.0, dice.uniform(0, 0.2)) for _ in range(rounds(4, 1))]
    slow = [("kill -9", 0.4, 0.6, dice.uniform(0.2, 1.5)) for _ in range(rounds(4, 2))]
    taken = [("kill -9", 0.0, 5.0, math.inf)]
    cut = [("line cut", 0.4, 0.6, dice.uniform(0.0, 1.5)) for _ in range(rounds(7, 2))]
    return [*at_once, *quick, *slow, *taken, *cut]


@pytest.mark.long
@pytest.mark.fault("kills", "job, between its record and the answer")
def test_kills_between_submit_and_answer(checkout: UserCheckout, tell: Tell, made: Made) -> None:
    seed = random.randrange(1000)  # noqa: S311
    checkout.remember()
    runs, rows = [], []
    for how, before, after, moment in kills(seed):
        checkout.be_slow(before, after)
        with checkout.start() as process:
            run = checkout.started(process)
            if moment == math.inf:
                wait_until(lambda run=run: run.run_id in checkout.jobs(), "the job")  # type: ignore[misc]
            else:
                time.sleep(moment)
            process.kill() if how == "kill -9" else checkout.proxy.cut()
            process.wait(timeout=PATIENCE_S)
        made("SIGKILL" if how == "kill -9" else how)
        run, seconds = checkout.settled(run)
        runs.append(run)
        end = "never submitted" if run.job_id is None else f"job {run.job_id}"
        rows.append(
            f"{how:10} {moment:6.2f} s  sbatch {before + after:.1f} s slower  {end:16} {seconds:5.2f} s"
        )
    wait_until(lambda: checkout.small.is_so("! pgrep -x sbatch"), "the end of all sbatch")
    jobs = checkout.jobs()
    title = f"seed {seed}: how, when after the record, what became of it, until `status` knew"
    tell("\n".join([title, *rows]))
    folders = checkout.small.on_box("ls $SCRATCH/slipway/runs").split()
    for run in runs:
        assert jobs.get(run.run_id, 0) == (0 if run.job_id is None else 1), run
        assert (run.run_id in folders) is (run.job_id is not None), run
        if run.job_id is None:
            assert (run.status.state, run.status.reason) == (State.FAILED, "launch-failure")
            assert "never submitted" in str(run.status.note)
    # Both are met where there are many.
    assert {run.job_id is None for run in runs} == {True, False} or not LONG
    assert not list(checkout.small.session.store.folder.glob("*.lock"))


@pytest.mark.long
def test_two_jobs_at_once_are_two_runs(checkout: UserCheckout) -> None:
    checkout.be_slow(0.2, 0.2)
    told = [
        process.communicate(timeout=PATIENCE_S)[0].split() for process in [checkout.start() for _ in range(2)]
    ]
    (first, one), (second, two) = told
    assert first != second
    assert one != two
    assert [checkout.jobs()[name] for name in (first, second)] == [1, 1]


def test_status_leaves_alone_what_is_being_submitted(checkout: UserCheckout) -> None:
    checkout.be_slow(1.0, 1.0)
    checkout.remember()
    with checkout.start() as process:
        run = checkout.started(process)
        seen = []
        while process.poll() is None:
            seen.append(checkout.small.look(run.run_id).status.state)
        output = process.communicate()
        assert process.returncode == 0, output
    assert output[0].split()[0] == run.run_id
    assert State.FAILED not in seen
    assert State.SUBMITTING in seen
    assert checkout.jobs()[run.run_id] == 1


@pytest.mark.fault("line", "sbatch answers garbage")
def test_an_error_of_sbatch_whose_job_is_there_is_no_refusal(checkout: UserCheckout) -> None:
    checkout.be_slow(0, 0, unanswered=True)
    with checkout.start() as process:
        told, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    run_id, job_id = told.split()
    assert job_id.isdigit()
    assert checkout.jobs()[run_id] == 1


def test_a_refusal_that_nobody_heard_is_found(checkout: UserCheckout) -> None:
    checkout.be_slow(0, 0)
    with checkout.small.connect() as host:
        run = checkout.small.submit(host, "true")
        # As it would be, had SLURM refused it: such a run has no job.
        lost = replace(run, run_id="zzzz-never", job_id=None)
        answer = "printf '1\\0\\0sbatch: error: no such partition\\0' >answer && ln -s submitting claim"
        host.check(
            ["sh", "-c", f"cp -a {run.run_dir} {run.run_dir}-x && cd {run.run_dir}-x && rm claim && {answer}"]
        )
        lost = settle(host, replace(lost, run_dir=f"{run.run_dir}-x"))
        assert not host.run(["test", "-e", lost.run_dir]).ok
    assert (lost.status.state, lost.status.reason) == (State.FAILED, "launch-failure")
    assert lost.status.note == "it was never submitted: SLURM refused the job: no such partition"


def test_what_slurm_refuses_leaves_nothing_behind(checkout: UserCheckout) -> None:
    checkout.be_slow(0, 0)
    before = {run.run_id for run in checkout.small.session.store.select()}
    folders = checkout.small.on_box("ls $SCRATCH/slipway/runs")
    defaults = checkout.small.choice.site.defaults.model_copy(update={"account": "nobodys"})
    site = checkout.small.choice.site.model_copy(update={"defaults": defaults})
    with (
        checkout.small.connect() as host,
        pytest.raises(JobError, match=r"SLURM refused the job: .*nvalid account"),
    ):
        checkout.small.submit(host, "true", site=site)
    assert {run.run_id for run in checkout.small.session.store.select()} == before
    assert checkout.small.on_box("ls $SCRATCH/slipway/runs") == folders
    assert not list(Path(checkout.small.session.store.folder).glob("*.lock"))


def test_an_image_that_was_not_pushed_is_noticed(
    small: SmallImageBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = small.choice.profile
    with small.connect() as host:
        run = small.submit(host, "true")
    local = look_for_image(profile.image)()
    assert local is not None
    assert local.id == run.image_id
    assert look_for_image("slipway-none")() is None
    # An engine that takes the question and never answers.
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.getsockname()[1]}")
        assert look_for_image(profile.image)() is None


def job_says(small: SmallImageBox, image: str) -> str:
    folders = {"SLIPWAY_STATE": small.session.project.state, "SLIPWAY_RESULTS": small.session.project.results}
    words = ["job", "--profile", "cpu", "--site", "box", "--mem", "200M", "--cpus", "1"]
    for value in (f"IMAGE={image}", f"CODE_DIR={small.choice.profile.code_dir}", "PROGRAM=true"):
        words += ["--set", value]
    done = subprocess.run(
        [*INVOKE, *words], cwd=ROOT, env={**os.environ, **folders}, capture_output=True, text=True, check=True
    )
    return " ".join(done.stderr.split())


def test_job_says_that_the_image_here_is_another(small: SmallImageBox) -> None:
    assert "is not the one" not in job_says(small, IMAGE)
    client = engine()
    pushed = find_image(client, IMAGE)
    assert pushed is not None
    dockerfile = io.BytesIO(f"FROM {IMAGE}\nLABEL slipway.test=other\n".encode())
    client.images.build(fileobj=dockerfile, tag=IMAGE)
    try:
        assert (
            f"The image {IMAGE} here is not the one that box has and this run uses; "
            "`invoke job --push` sends it before"
        ) in job_says(small, IMAGE)
    finally:
        client.images.get(pushed.id).tag(IMAGE)


class Answers:
    """A person who answers one question after the other, and then nothing more."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        assert echo
        self.asked.append(prompt)
        return self.answers.pop(0) if self.answers else None

    def tell(self, text: str) -> None:
        pytest.fail(text)


@pytest.mark.long
def test_the_image_here_is_pushed_on_request(small: SmallImageBox, tmp_path: Path) -> None:
    name = "slipway-test-stale"
    dockerfile = tmp_path / "Dockerfile"
    profile = small.choice.profile.model_copy(
        update={"image": name, "dockerfile": dockerfile, "program": ("cat", "/version")}
    )
    request = Request(
        profile=profile,
        site=small.choice.site,
        args=(),
        resources=SlurmResources(cpus=1, mem="100M", time="5"),
    )
    client = engine()

    def version(number: int) -> None:
        dockerfile.write_text(f"FROM {profile.base_image}\nRUN echo {number} >/version\n")

    def submit_with(person: Answers, push: Push = Push.ASK) -> str:
        session = replace(small.session, prompt=person)
        with submitted(session, request, push) as done:
            run = follow(done.host, done.run, said.append, lambda run: None)
            assert run.status.reason == "ok"
        return said[-1].strip()

    said: list[str] = []
    try:
        version(1)
        build(small.session, profile)
        stops = Answers("g", "s")
        with pytest.raises(KeyboardInterrupt):
            submit_with(stops)
        assert stops.asked[0] == f"box has no image {name} yet. Push the one here now (p) or stop (s)? "
        assert submit_with(Answers("what?", "p")) == "1"
        version(2)
        build(small.session, profile)
        assert submit_with(Answers("g")) == "1"
        assert submit_with(Answers(), Push.NEVER) == "1"
        with pytest.raises(KeyboardInterrupt):
            submit_with(Answers("stop"))
        assert submit_with(Answers("push")) == "2"
        version(3)
        assert submit_with(Answers(), Push.ALWAYS) == "3"
    finally:
        client.images.remove(name, force=True)


def test_a_user_whose_start_files_print(small: SmallImageBox) -> None:
    """The whole way: an image and code sent, a job, how it stands, what it prints, and its results."""
    profile = small.choice.profile.model_copy(
        update={"program": ("sh", "-c", "echo there >/out/file; cat /out/file")}
    )
    request = Request(
        profile=profile,
        site=small.choice.site,
        args=(),
        resources=SlurmResources(cpus=1, mem="100M", time="5"),
    )
    said: list[str] = []
    begin = (
        'for file in .bashrc .profile; do touch $file; { printf %s "$0"; cat $file; } >.new; '
        "mv $file .$file.old; mv .new $file; done"
    )
    welcome = "printf 'Welcome, no newline'; echo 'quota: 5 %' >&2; trap 'echo bye' EXIT; alias cp='cp -i'\n"
    small.as_root("su", "-", "researcher", "-c", f"sh -c {shlex.quote(begin)} {shlex.quote(welcome)}")
    try:
        small.on_box("rm /scratch/researcher/slipway/images/slipway-small*")
        assert push(small.session, small.choice)[3] is not None
        with submitted(small.session, request, Push.NEVER) as done:
            follow(done.host, done.run, said.append, lambda run: None)
        (run,), error = list_runs(small.session, Selection(prefixes=(done.run.run_id,)), 1)
        assert (run.status.state, run.status.reason, error) == (State.COMPLETED, "ok", None)
        home = pull(small.session, run.run_id).results.home
        assert (home / "attempt-1" / "out" / "file").read_text() == "there\n"
    finally:
        small.as_root("su", "-", "researcher", "-c", "for f in .bashrc .profile; do mv .$f.old $f; done")
    assert said[-1].strip() == "there"
