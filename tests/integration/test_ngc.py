"""Jobs at NVIDIA's platform, by a stand-in for NVIDIA's `ngc`: stand_in.py says how far that goes.

The jobs run for real, each in a container of this machine's engine.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from slipway.errors import JobError
from slipway.host.host import Host
from slipway.image.engine import engine
from slipway.job import watch
from slipway.job.run import Reason
from slipway.job.submit import settle
from slipway.scheduler.base import State
from slipway.steps.ngc import close_login_node, open_login_node, use_job
from slipway.steps.session import Choice
from tests.integration.ngc.platform import (
    API_KEY,
    IMAGE,
    INSTANCE,
    UNTIL_LET_GO,
    PlatformHere,
    platform_here,
    quiet,
)
from tests.integration.registry_container import start_registry
from tests.integration.task_runner import INVOKE, ROOT
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformHere]:
    with platform_here(tmp_path_factory.mktemp("ngc")) as here:
        yield here


@pytest.fixture(autouse=True)
def whole(platform: PlatformHere) -> Iterator[None]:
    yield
    platform.mend()


HOSTILE = (
    "",
    "a b",
    "$HOME `id` $(id)",
    "'\"\\",
    "new\nline",
    "*",
    "ü",
    "\udcff",
    "--name=x",
    ";true",
    "#",
    "%s",
)


def test_a_job_runs_in_its_image_with_code_and_arguments_byte_for_byte(platform: PlatformHere) -> None:
    script = (
        'printf "%s\\0" "$@" >/out/words; cat /code/file; ls /code >/out/names; pwd; '
        'echo "$SLIPWAY_RUN $NGC_JOB_ID"; echo to-error >&2'
    )
    run = platform.sh(script, *HOSTILE)
    assert run.job_id == str(platform.numbers()[-1])
    over = platform.wait(run)
    assert (over.state, over.status.reason, over.status.exit_code) == (State.COMPLETED, "ok", 0)
    assert over.job_id == f"{platform.numbers()[-1]}@org"
    assert platform.log(run) == f"code\n/code\n{run.run_id} {platform.numbers()[-1]}\nto-error\n"
    out = Path(run.run_dir) / "attempt-1" / "out"
    words = (out / "words").read_bytes().split(b"\0")[:-1]
    assert words == [word.encode("utf-8", "surrogateescape") for word in HOSTILE]
    assert 'it\'s a <name>, "odd"?*|%;:' in (out / "names").read_text()


@pytest.mark.long
def test_a_job_that_fails_has_its_programs_exit_code(platform: PlatformHere) -> None:
    over = platform.wait(platform.sh("echo no >&2; exit 3"))
    assert (over.state, over.status.reason, over.status.exit_code) == (State.FAILED, Reason.PROGRAM_ERROR, 3)
    assert platform.log(over) == "no\n"
    assert over.status.native_state == "FAILED"


@pytest.mark.long
def test_code_is_uploaded_once(platform: PlatformHere) -> None:
    uploads = platform.state / "uploads"
    platform.wait(platform.sh("true"))
    before = uploads.read_text().count(".tar\n")
    platform.wait(platform.sh("true"))
    assert uploads.read_text().count(".tar\n") == before == 1


@pytest.mark.long
def test_what_a_job_prints_is_there_while_it_runs(platform: PlatformHere) -> None:
    run = platform.sh(f"echo first; {UNTIL_LET_GO}; echo last")
    run = platform.wait(run, State.RUNNING)

    def printed() -> bool:
        platform.look(run)
        log = Path(run.run_dir) / "attempt-1" / "log"
        return log.exists() and log.read_text() == "first\n"

    wait_until(printed, platform.situation, pause_s=0.5)
    platform.let_go(run)
    platform.wait(run)
    assert platform.log(run) == "first\nlast\n"


@pytest.mark.long
def test_a_job_is_cancelled_and_its_program_told(platform: PlatformHere) -> None:
    run = platform.sh("trap 'echo saved >/out/saved; exit 0' TERM; echo up; while :; do sleep 0.1; done")
    wait_until(lambda: platform.look(run).state is State.RUNNING, platform.situation)
    there = platform.workspace / "runs" / run.run_id / "attempt-1" / "log"
    wait_until(lambda: there.exists() and there.read_text() == "up\n", platform.situation)
    with platform.connect() as (host, _):
        watch.cancel(host, platform.look(run))
    over = platform.wait(run)
    assert (over.state, over.status.reason) == (State.CANCELLED, Reason.CANCELLED)
    assert over.status.native_state == "KILLED_BY_USER"
    assert (Path(run.run_dir) / "attempt-1" / "out" / "saved").read_text() == "saved\n"


def test_a_job_that_waits_is_cancelled(platform: PlatformHere) -> None:
    platform.break_it(queue=True)
    run = platform.wait(platform.sh("true"), State.PENDING)
    assert run.status.pending_reason == "QUEUED"
    with platform.connect() as (host, _):
        watch.cancel(host, run)
    over = platform.wait(run)
    assert (over.state, over.status.reason) == (State.CANCELLED, Reason.CANCELLED)


@pytest.mark.long
def test_at_its_time_limit_a_program_is_warned_and_the_job_ends_by_itself(platform: PlatformHere) -> None:
    # SLURM's form for six seconds; the site's file has three of them for the warning.
    run = platform.sh("trap 'echo warned; exit 0' USR1; while :; do sleep 0.1; done", time="0:06")
    over = platform.wait(run)
    assert over.status.reason == Reason.TIME_LIMIT
    assert platform.log(run) == "warned\n"
    unwarned = platform.wait(platform.sh("sleep 60", time="0:04"))
    assert (unwarned.state, unwarned.status.reason) == (State.TIMEOUT, Reason.TIME_LIMIT)


@pytest.mark.long
def test_what_runs_past_all_limits_the_platform_ends(
    platform: PlatformHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The script's own limit is far away, the platform's is not.
    monkeypatch.setattr("slipway.scheduler.ngc.options.SLACK_S", -10)
    over = platform.wait(platform.sh("trap '' TERM; while :; do sleep 0.1; done", time="0:15"))
    assert over.status.native_state == "KILLED_BY_SYSTEM"
    assert over.state in (State.TIMEOUT, State.NODE_FAIL)


@pytest.mark.long
def test_the_tasks_of_an_array_are_jobs_of_which_one_fails(platform: PlatformHere) -> None:
    run = platform.sh('echo "task $SLIPWAY_TASK"; [ "$SLIPWAY_TASK" != 3 ]', array="1,3,5")
    over = platform.wait(run)
    reasons = {task: status.reason for task, status in over.task_statuses.items()}
    assert reasons == {1: "ok", 3: "program-error", 5: "ok"}
    assert [platform.log(run, task) for task in (1, 3, 5)] == ["task 1\n", "task 3\n", "task 5\n"]


@pytest.mark.long
def test_an_array_is_cancelled_as_a_whole(platform: PlatformHere) -> None:
    platform.break_it(queue=True)
    run = platform.wait(platform.sh("true", array="0-2"), State.PENDING)
    with platform.connect() as (host, _):
        watch.cancel(host, run)
    over = platform.wait(run)
    assert {status.state for status in over.task_statuses.values()} == {State.CANCELLED}


def test_a_lost_answer_is_found_and_nothing_is_submitted_twice(platform: PlatformHere) -> None:
    before = len(platform.numbers())
    platform.break_it(run="lose-answer", once=True)
    run = platform.sh("echo once")
    assert run.job_id == f"{platform.numbers()[-1]}@org"
    assert len(platform.numbers()) == before + 1
    over = platform.wait(run)
    assert over.state is State.COMPLETED
    with platform.connect() as (host, _):
        settle(host, replace(run, job_id=None))
    assert len(platform.numbers()) == before + 1


def test_what_the_platform_refuses_is_told_and_leaves_nothing(platform: PlatformHere) -> None:
    platform.break_it(run="refuse")
    with pytest.raises(JobError, match="quota of team 'team' is used up"):
        platform.sh("true")
    platform.mend()
    with pytest.raises(JobError, match=r"(?s)'dgx.unknown' does not exist.*instances: .*dgxa100.80g.1.norm"):
        platform.sh("true", partition="dgx.unknown")
    platform.break_it(upload="refuse")
    with pytest.raises(JobError, match=r"not uploaded to the workspace mine.*507 Insufficient Storage"):
        platform.sh("true")


def test_results_that_cannot_be_brought_now_are_brought_later(platform: PlatformHere) -> None:
    platform.break_it(download="refuse")
    run = platform.sh("echo kept >/out/kept")
    run = platform.wait(run, State.COMPLETING)
    assert "503 Service Unavailable" in str(run.status.pending_reason)
    platform.mend()
    over = platform.wait(run)
    assert over.state is State.COMPLETED
    assert (Path(run.run_dir) / "attempt-1" / "out" / "kept").read_text() == "kept\n"


def test_where_the_platform_does_not_answer_a_run_is_unknown_and_not_failed(platform: PlatformHere) -> None:
    run = platform.sh(UNTIL_LET_GO)
    platform.wait(run, State.RUNNING)
    platform.break_it(list="refuse")
    seen = platform.look(run)
    assert (seen.state, "Request timed out" in str(seen.status.note)) == (State.UNKNOWN, True)
    platform.mend()
    platform.let_go(run)
    assert platform.wait(run).state is State.COMPLETED


@pytest.mark.long
def test_a_job_that_is_resumed_is_another_attempt_with_what_the_first_wrote(platform: PlatformHere) -> None:
    run = platform.sh(
        "if [ -d /previous ]; then cat /previous/half; else echo half >/out/half; sleep 300; fi"
    )
    there = platform.workspace / "runs" / run.run_id / "attempt-1" / "out" / "half"
    wait_until(lambda: platform.look(run) and there.exists(), platform.situation)
    quiet(f"{platform.folder}/bin/ngc", "batch", "preempt", str(platform.numbers()[-1]))
    assert platform.look(run).state is State.SUSPENDED
    quiet(f"{platform.folder}/bin/ngc", "batch", "resume", str(platform.numbers()[-1]))
    over = platform.wait(run)
    assert over.state is State.COMPLETED
    assert (Path(run.run_dir) / "attempt-2" / "log").read_text() == "half\n"


@pytest.mark.long
def test_too_much_memory_is_told(platform: PlatformHere) -> None:
    run = platform.sh("head -c 2G /dev/zero | tail >/dev/null; exit 9")
    assert platform.wait(run).status.reason == Reason.OUT_OF_MEMORY


def test_staged_data_and_the_platforms_own_are_below_data(platform: PlatformHere) -> None:
    with platform.connect() as (_, scratch):
        folder = Path(str(scratch.data)) / "door"
        folder.mkdir()
        (folder / "image.txt").write_text("pixels\n")
        (Path(str(scratch.weights)) / "net.pth").write_text("weights\n")
    own = platform.state / "datasets" / "77"
    own.mkdir(parents=True)
    (own / "scan").write_text("theirs\n")
    site = platform.site.model_copy(
        update={"ngc": platform.site.ngc.model_copy(update={"datasets": {"theirs": "77"}})}
    )
    with_data = replace(platform, site=site)
    run = with_data.sh("cat /data/door/image.txt /data/theirs/scan /weights/net.pth")
    platform.wait(run)
    assert platform.log(run) == "pixels\ntheirs\nweights\n"
    shutil.rmtree(folder)


@pytest.mark.long
def test_a_line_runs_in_the_job_of_a_run(platform: PlatformHere) -> None:
    run = platform.wait(platform.sh(UNTIL_LET_GO, array="2,5"), State.RUNNING)
    platform.session.store.save(run)
    wait_until(
        lambda: {one.state for one in platform.look(run).task_statuses.values()} == {State.RUNNING},
        platform.situation,
    )
    printed: list[str] = []

    def attach(host: Host, argv: Sequence[str]) -> int:
        return host.stream(argv, printed.append)

    line = "echo \"$NGC_JOB_ID\"; echo 'a  b'"
    use_job(platform.session, platform.site, [line], attach, run=run.run_id, task=5)
    assert [one.rstrip() for one in printed] == [str(platform.numbers()[-1]), "a  b"]
    with pytest.raises(JobError, match=r"of an array say which task with --task N"):
        use_job(platform.session, platform.site, [line], attach, run=run.run_id)
    with platform.connect() as (host, _):
        watch.cancel(host, run)
    platform.wait(run)


def test_the_instances_are_its_partitions_and_jobs_of_any_span_are_accounted(platform: PlatformHere) -> None:
    from slipway.scheduler.accounts import AccountQuery
    from slipway.scheduler.find import find_scheduler

    platform.wait(platform.sh("true"))
    with platform.connect() as (host, _):
        queues = find_scheduler("ngc").queues(host).queues
        accounted = find_scheduler("ngc").accounted(host, AccountQuery(start_s=0, end_s=1 << 34))
        none = find_scheduler("ngc").accounted(host, AccountQuery(start_s=0, end_s=1))
    assert {queue.name: dict(queue.offer.max_gpus or {}) for queue in queues} == {
        "dgxa100.80g.1.norm": {"dgxa100": 1},
        "dgxa100.80g.8.norm": {"dgxa100": 8},
        "cpu.x86.tiny": {},
    }
    assert accounted.jobs
    assert {job.partition for job in accounted.jobs} == {INSTANCE}
    assert none.jobs == []


def test_a_login_node_job_is_started_once_renewed_entered_and_ended(platform: PlatformHere) -> None:
    choice = Choice(profile=platform.profile, site=platform.site)
    session, printed = platform.session, list[str]()
    first, is_new = open_login_node(session, choice, instance=INSTANCE)
    assert (is_new, first.replaced) == (True, None)
    again, is_new = open_login_node(session, choice, instance=INSTANCE)
    assert (again.job_id, again.state, is_new) == (first.job_id, State.RUNNING, False)
    assert again.left_s is not None
    assert 166 * 3600 < again.left_s <= 167 * 3600

    def attach(host: Host, argv: Sequence[str]) -> int:
        return host.stream(argv, printed.append)

    word = 'echo "$NGC_JOB_ID" $(ls -d /mnt/slipway)'
    assert use_job(session, platform.site, [word], attach) == 0
    assert use_job(session, platform.site, ["echo", "a  b"], attach) == 0
    assert [line.rstrip() for line in printed] == [
        f"{first.job_id.partition('@')[0]} /mnt/slipway",
        "a  b",
    ]
    # It ends within so many hours that another takes its place.
    second, is_new = open_login_node(session, choice, instance=INSTANCE, renew_hours=168)
    assert (is_new, second.replaced) == (True, first.job_id)
    assert second.job_id != first.job_id
    assert close_login_node(session, platform.site) == [second.job_id]
    wait_until(lambda: not close_login_node(session, platform.site), platform.situation)
    with pytest.raises(JobError, match=r"no login-node job that runs; `invoke ngc.login ngc` starts one"):
        use_job(session, platform.site, [], attach)


def test_files_go_by_rclone_where_the_sites_file_says_so(platform: PlatformHere) -> None:
    if shutil.which("rclone") is None:
        pytest.skip("rclone is not installed here")
    # In the place of the workspace's SFTP server, which wants a key of NVIDIA's: a folder, by rclone.
    config = platform.folder / "home" / ".config" / "rclone" / "rclone.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"[bcp]\ntype = alias\nremote = {platform.workspace.parent}\n")
    own = platform.site.ngc.model_copy(update={"rclone": "bcp:"})
    by_rclone = replace(platform, site=platform.site.model_copy(update={"ngc": own}))
    with platform.connect() as (_, scratch):
        folder = Path(str(scratch.data)) / "odd"
        folder.mkdir()
        # NVIDIA's program refuses this name.
        (folder / "frame 1: left?.txt").write_text("pixels\n")
    platform.break_it(upload="refuse", download="refuse")
    run = by_rclone.sh('cat /data/odd/*; mkdir -p "/out/a:b"; echo x >"/out/a:b/c?"')
    over = by_rclone.wait(run)
    assert over.state is State.COMPLETED
    assert platform.log(run) == "pixels\n"
    assert (Path(run.run_dir) / "attempt-1" / "out" / "a:b" / "c?").read_text() == "x\n"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def checkout(platform: PlatformHere) -> Iterator["Checkout"]:
    """A user's checkout with a site at the platform, and a registry that its images go to."""
    folder = platform.folder / "checkout"
    with start_registry(platform.folder) as registry:
        for name in ("cluster", "env", "code"):
            (folder / name).mkdir(parents=True)
        shutil.copy(ROOT / "tasks.py", folder)
        for name in (".env.example", ".env.base"):
            shutil.copy(ROOT / "env" / name, folder / "env")
        (folder / "Dockerfile").write_text(f"FROM {platform.profile.base_image}\nLABEL slipway.test=ngc\n")
        (folder / "code" / "main.sh").write_text('echo "value $1"; echo "$1" >/out/value; [ "$1" != 2 ]\n')
        (folder / "env" / ".env.lab").write_text(
            f"IMAGE={IMAGE}-lab\nDOCKERFILE=Dockerfile\nCODE_DIR=code\nPROGRAM=bash /code/main.sh\nSITE=dgx\n"
        )
        (folder / "cluster" / "dgx.yaml").write_text(
            "login: {host: this-machine}\nscheduler: ngc\n"
            f"paths: {{scratch: {platform.folder}/scratch}}\n"
            "ngc: {org: org, ace: ace-1, team: team, workspace: mine, "
            f'registry: "{registry.here}/org/team"}}\n'
            f'defaults: {{partition: {INSTANCE}, time: "10"}}\n'
        )
        made = Checkout(folder=folder, docker=registry.log_in(platform.folder / "docker"))
        made.invoke("build", "--profile", "lab")
        made.invoke("push", "--profile", "lab")
        yield made
        # The name that the image has got for this registry, which is gone now.
        for tag in engine().images.get(f"{IMAGE}-lab").tags:
            if tag.startswith(registry.here):
                quiet("docker", "rmi", tag)


@dataclass(frozen=True)
class Checkout:
    """The checkout, and the folder of the engine's credentials."""

    folder: Path
    docker: Path

    def invoke(self, *words: str, code: int = 0) -> str:
        """Run a task, and return what it printed."""
        own = {"DOCKER_CONFIG": str(self.docker), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*INVOKE, *words],
            cwd=self.folder,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout


def test_nobody_but_ngc_sees_the_api_key(platform: PlatformHere) -> None:
    """The stand-in itself refuses arguments with a key in them."""
    run = platform.sh("env | sort")
    platform.wait(run)
    assert "NGC_JOB_ID=" in platform.log(run)
    kept = [platform.folder / name for name in ("state", "scratch", "stand-in", "results")]
    files = [file for folder in kept for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 10
    assert [file for file in files if API_KEY.encode() in file.read_bytes()] == []


@pytest.mark.long
def test_a_monitor_goes_to_the_next_instance_for_lack_of_gpu_memory(
    checkout: Checkout, platform: PlatformHere
) -> None:
    site = checkout.folder / "cluster" / "dgx.yaml"
    text = site.read_text()
    rung = "{{gpus: 'dgxa100:{0}', partition: dgxa100.80g.{0}.norm}}"
    rungs = f"[{rung.format(1)}, {rung.format(8)}]"
    site.write_text(f"{text}monitor: {{gpu_ladder: {rungs}}}\nusage_sample_s: 0\n")
    script = (
        "if [ -d /previous ]; then echo more; exit 0; fi; "
        'echo "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"; touch /out/x; exit 1'
    )
    given = ["--partition", "dgxa100.80g.1.norm", "--gpus", "dgxa100:1", "--name", "small"]
    own = ["--set", "PROGRAM=/bin/sh -c"]
    checkout.invoke("job", "--profile", "lab", *own, *given, "--wait", "--", script, code=1)
    told = checkout.invoke("monitor", "--run", "small", "--interval", "1")
    runs = json.loads(checkout.invoke("status", "--json"))
    site.write_text(text)
    assert "dgxa100:8" in told
    assert runs[0]["state"] == "COMPLETED"
    newest = json.loads((platform.state / "jobs" / f"{platform.numbers()[-1]}.json").read_text())
    assert newest["jobDefinition"]["resources"]["name"] == "dgxa100.80g.8.norm"


@pytest.mark.long
def test_the_whole_line_from_an_image_to_results_at_home(checkout: Checkout) -> None:
    # What the fixture has sent is not sent again.
    assert "unchanged" in checkout.invoke("push", "--profile", "lab")
    printed = checkout.invoke("job", "--profile", "lab", "--wait", "--", "1")
    assert "value 1" in printed
    run, *_ = json.loads(checkout.invoke("status", "--json"))
    assert (run["state"], run["reason"], run["site"]) == ("COMPLETED", "ok", "dgx")
    assert checkout.invoke("logs", run["run_id"]) == "value 1\n"
    checkout.invoke("pull", run["run_id"])
    assert [file.read_text() for file in (checkout.folder / "results").rglob("value")] == ["1\n"]
    checkout.invoke("show", run["run_id"])


@pytest.mark.long
def test_a_sweep_has_a_job_an_element_and_one_that_fails_stops_no_other(checkout: Checkout) -> None:
    checkout.invoke("job", "--profile", "lab", "--each", "value=1,2,3", "--name", "many", "--", "{value}")

    def over() -> bool:
        runs = json.loads(checkout.invoke("status", "--json", "--name", "many"))
        return all(run["state"] not in ("PENDING", "RUNNING", "COMPLETING", "SUBMITTING") for run in runs)

    wait_until(over, "the sweep", pause_s=1)
    (run,) = json.loads(checkout.invoke("status", "--json", "--name", "many"))
    assert (run["state"], run["reason"]) == ("FAILED", "program-error")
    table = checkout.invoke("status", "--sweep", "many", "--json")
    assert table.count('"ok"') >= 2
