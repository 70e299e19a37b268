"""Mistakes that only the cluster can tell, made at the front door, and what docs/jobs.md says of them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from slipway.host.host import Host
from slipway.host.scratch import open_scratch
from slipway.job.run import Run
from slipway.job.store import RunStore
from tests.checkout import UserCheckout, make_user_checkout
from tests.forked import Forked, forked_tasks
from tests.integration.small_image import IMAGE, SmallImageBox
from tests.mistakes import Mistake, Table

TABLE = Table("jobs.md", "submission")
# As somebody writes it who has read no further than what is required.
SITE = """\
login: {{host: box, ssh_config: {config}}}
paths: {{scratch: $SCRATCH}}
modules: [apptainer]
defaults: {{time: "0:05:00", cpus: 1, mem: 200M}}
"""
PROFILE = f"IMAGE={IMAGE}\nDOCKERFILE=Dockerfile\nCODE_DIR=code\nPROGRAM=echo\nGPUS=\n"
OFFER = """\
partitions: debug (1:00:00), long (7-00:00:00), scavenge (1-00:00:00), priority (1:00:00)
  nodes: 3 with 2 cpus, 6000M, gpu:a100:1,gpu:v100:1 in debug, long, scavenge, priority
  your account lab with qos: normal, quick (at most 00:10:00), single
  your account other with qos: normal, quick (at most 00:10:00), single"""
JOB = ("job", "--profile", "lab", "--site", "hpc")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mistake: the task, what else is to be done to a good checkout before, and what the document says."""

    words: str
    code: int
    remedy: str
    task: tuple[str, ...]
    spoil: Callable[[UserCheckout], object] = lambda _: None


def asked(words: str, *options: str, remedy: str, code: int = 71) -> Case:
    return Case(words=words, code=code, remedy=remedy, task=(*JOB, *options))


CASES = (
    asked("the image was never pushed", "--set", "IMAGE=lab", code=67, remedy="`invoke push`"),
    Case(
        words="the image was never built",
        code=67,
        task=("push", "--profile", "lab", "--site", "hpc", "--set", "IMAGE=lab"),
        spoil=lambda made: (made.folder / "Dockerfile").write_text("FROM debian:trixie-slim\n"),
        remedy="`invoke build`",
    ),
    Case(
        words="a variable of the site's paths is not set there",
        code=65,
        task=JOB,
        spoil=lambda user_checkout: user_checkout.change_site(paths={"scratch": "$WORK/me"}),
        remedy="Write the path itself.",
    ),
    asked("an unknown partition", "--partition", "gpu", remedy="Name one that there is."),
    asked("an unknown account", "--account", "nobodys", remedy="Name one of yours."),
    asked("an unknown QOS", "--qos", "fast", remedy="Name one that your account has."),
    asked("longer than the QOS allows", "--qos", "quick", "--time", "30", remedy="Ask for less."),
    asked("more memory than any node has", "--mem", "900G", remedy="Ask for less."),
    asked("more cores than any node has", "--cpus", "99", remedy="Ask for less."),
    asked("more nodes than there are", "--nodes", "9", remedy="Ask for less."),
    asked("GPUs of a type that no node has", "--gpus", "h100:1", remedy="Name a type that there is."),
    asked("features that no node has", "--constraint", "ib", remedy="Name those that there are."),
    asked("to wait for a job that there is not", "--dependency", "afterok:999999", remedy="Correct the id."),
    asked("an array that is too large", "--array", "0-5000", remedy="Ask for fewer tasks in one run."),
    asked("an option that sbatch does not have", "--sbatch=--colour=red", remedy="Correct it: `man sbatch`."),
    asked(
        "longer than a partition allows that the site's file does not list",
        "--partition",
        "debug",
        "--time",
        "2-0",
        remedy="Ask for less, or name another partition.",
    ),
    Case(
        words="GPUs are asked for twice",
        code=71,
        task=(*JOB, "--gpus", "1", "--sbatch=--gres=tmpdisk:5"),
        remedy="Write all into `--sbatch`.",
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def tunnel() -> Iterator[Forked]:
    with forked_tasks() as tunnel:
        yield tunnel


@pytest.fixture(scope="module")
def remote(small: SmallImageBox) -> Iterator[Host]:
    with small.connect() as remote:
        yield remote


@pytest.fixture
def user_checkout(small: SmallImageBox, tunnel: Forked, tmp_path: Path) -> UserCheckout:
    config = small.session.project.state / "box" / "ssh_config"
    places = {
        r"researcher@127\.0\.0\.1:\d+": "USER@HOST:PORT",
        r"/scratch/researcher": "/scratch/USER",
        r"\d+M, gpu": "6000M, gpu",
    }
    return make_user_checkout(tmp_path, tunnel, SITE.format(config=config), PROFILE, places)


def runs_there(small: SmallImageBox, remote: Host) -> list[str]:
    return sorted(remote.list(open_scratch(remote, small.choice.site, make=False).runs))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
def test_a_mistake(small: SmallImageBox, remote: Host, user_checkout: UserCheckout, case: Case) -> None:
    before = runs_there(small, remote)
    case.spoil(user_checkout)
    message = user_checkout.refuse(*case.task, code=case.code)
    assert runs_there(small, remote) == before
    if case.words != "an unknown partition":  # there the document has all of it
        message = message.replace(OFFER, "and what there is, as above")
    TABLE.check(Mistake(words=case.words, code=case.code, message=message, remedy=case.remedy))


def test_the_document_has_these_and_no_others() -> None:
    TABLE.check_order([case.words for case in CASES])


@pytest.mark.parametrize("mistake", ["nothing to send", "too large"])
def test_a_code_folder_that_is_none_leaves_nothing(
    small: SmallImageBox, remote: Host, user_checkout: UserCheckout, mistake: str
) -> None:
    before = runs_there(small, remote)
    if mistake == "nothing to send":
        (user_checkout.folder / "code" / "main.py").unlink()
        message = user_checkout.refuse(*JOB, code=73)
        assert message.startswith("CODE_DIR is ~/slipway/code, which has no files")
    else:
        (user_checkout.folder / "code" / "data.bin").write_bytes(b"x" * 2000)
        message = user_checkout.refuse(*JOB, "--set", "CODE_LIMIT=1K", code=73)
        assert "CODE_LIMIT allows 1.0 kB" in message
        assert "data.bin: 2.0 kB" in message
    assert runs_there(small, remote) == before


def submitted(user_checkout: UserCheckout, remote: Host, *words: str) -> tuple[Run, str]:
    """A job that is accepted, what is said of it, and its record; the job is cancelled."""
    done = user_checkout.invoke(*JOB, "--sbatch=--hold", *words)
    assert done.returncode == 0, done.stderr
    (run,) = RunStore(user_checkout.folder / "state" / "runs").select()
    remote.check(["bash", "-lc", f"scancel {run.job_id}"])
    return run, user_checkout.plain(done.stderr)


def test_where_slurm_chooses_the_partition_there_is_only_a_note(
    user_checkout: UserCheckout, remote: Host
) -> None:
    _, said = submitted(user_checkout, remote, "--time", "2-0")
    assert "time 2-0 (--time) is longer than the 1:00:00 that partition debug of hpc allows" in said
    assert "it may wait for ever" in said


def test_one_of_two_partitions_suffices(user_checkout: UserCheckout, remote: Host) -> None:
    _, said = submitted(user_checkout, remote, "--partition", "debug,long", "--time", "2-0")
    assert "longer" not in said


def test_data_that_were_not_staged_are_noted(
    user_checkout: UserCheckout, remote: Host, small: SmallImageBox
) -> None:
    scratch = open_scratch(remote, small.choice.site)
    remote.check(["mkdir", "-p", "--", str(PurePosixPath(scratch.data) / "room")])
    run, said = submitted(user_checkout, remote, "--", "--dataset", "rom", "--input=/data/room/left", "/data")
    assert run.args == ("--dataset", "rom", "--input=/data/room/left", "/data")
    assert re.search(r"data has no 'rom' \(did you mean room\?\), which the program's arguments name", said)
    assert "`invoke stage FOLDER --name rom` brings it there" in said
    assert said.count("has no") == 1
