"""Mistakes in what a user asks for, made at the front door, and what docs/jobs.md says of them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from slipway.job.store import RunStore
from tests.checkout import UserCheckout, make_user_checkout
from tests.forked import Forked, forked_tasks
from tests.mistakes import ROOT, Mistake, Table
from tests.unit.test_run import NOW, make_run

TABLE = Table("jobs.md", "request")
SITE = """\
login: {host: hpc.invalid}
paths: {scratch: /scratch/me}
defaults: {partition: gpu, time: "1:00:00", cpus: 4}
queues:
  gpu: {max_time: 2-00:00:00, max_nodes: 4, max_cpus: 64, max_mem: 500G, max_gpus: {a100: 4}}
  cpu: {max_time: 7-00:00:00, max_gpus: {}}
"""
PROFILE = "IMAGE=lab\nDOCKERFILE=Dockerfile\nCODE_DIR=code\nPROGRAM=python3 main.py\nGPUS=\n"
JOB = ("job", "--profile", "lab", "--site", "hpc")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mistake: the task, what else is to be done to a good checkout before, and what the document says."""

    words: str
    code: int
    remedy: str
    task: tuple[str, ...] = JOB
    spoil: Callable[[UserCheckout], object] = lambda _: None


def asked(words: str, *options: str, remedy: str = "Write it as it says.", code: int = 64) -> Case:
    return Case(words=words, code=code, remedy=remedy, task=(*JOB, *options))


def in_profile(words: str, line: str, remedy: str, code: int = 65) -> Case:
    return Case(
        words=words, code=code, remedy=remedy, spoil=lambda user_checkout: user_checkout.profile(line)
    )


def in_site(words: str, remedy: str = "Correct the file.", **changes: object) -> Case:
    return Case(
        words=words, code=65, remedy=remedy, spoil=lambda user_checkout: user_checkout.change_site(**changes)
    )


def of_run(words: str, *task: str, remedy: str = "`invoke status` shows the ids.") -> Case:
    def keep(user_checkout: UserCheckout) -> None:
        store = RunStore(user_checkout.folder / "state" / "runs")
        for number, name in enumerate(("k3f9", "k3x2", "b7c4")):
            run = make_run(f"{name}-lab-20260131-142530", NOW + timedelta(hours=number))
            store.save(replace(run, site="gone" if name == "b7c4" else run.site))

    return Case(words=words, code=64, remedy=remedy, task=task, spoil=keep)


def write_profile(user_checkout: UserCheckout, text: str) -> None:
    (user_checkout.folder / "env" / ".env.lab").write_text(text)


def unclosed(user_checkout: UserCheckout) -> None:
    user_checkout.site("login: {host: hpc.invalid\npaths: {scratch: /s}\n")


CASES = (
    # What is named
    Case(
        words="an unknown task",
        code=64,
        task=("jbo", "--profile", "lab"),
        remedy="Use the name it gives.",
    ),
    asked("an unknown option", "--gpu", "2", remedy="Use the name it gives."),
    asked("an option without its value", "--time", remedy="Give it one."),
    asked("arguments of the program without `--`", "train", "--epochs", "3", remedy="`-- train --epochs 3`"),
    Case(
        words="an unknown profile",
        code=64,
        task=("job", "--profile", "lap", "--site", "hpc"),
        remedy="Use the name it gives.",
    ),
    Case(
        words="an unknown site",
        code=64,
        task=("job", "--profile", "lab", "--site", "hcp"),
        remedy="Use the name it gives, or write its file.",
    ),
    Case(
        words="no site",
        code=64,
        task=("job", "--profile", "lab"),
        remedy="Name one, or write `SITE=` once for all.",
    ),
    of_run("an unknown run", "cancel", "k3f8"),
    of_run("an unknown run, to follow", "logs", "--run", "x1", "--follow"),
    of_run("an unknown run, to bring home", "pull", "--run", "k3f9-cpu"),
    of_run("several runs begin so", "pull", "--run", "k3", remedy="Write more of the id."),
    of_run("no run is named to cancel", "cancel", remedy="Name one."),
    Case(
        words="there are no runs",
        code=64,
        task=("logs",),
        remedy="Submit one; runs are known in the checkout that they were submitted from.",
    ),
    of_run(
        "the site's file of a run is gone", "logs", "--run", "b7", remedy="Restore the file in `cluster/`."
    ),
    Case(
        words="the record of a run is broken",
        code=64,
        task=("status", "k3f9"),
        spoil=lambda user_checkout: (user_checkout.folder / "state" / "runs" / "k3f9.json").write_text("{"),
        remedy="Copy one from the cluster, which Slipway does where it can tell the site; or move it away.",
    ),
    Case(
        words="`status` of how many",
        code=64,
        task=("status", "--count", "all"),
        remedy="Write a number.",
    ),
    of_run("runs in a state that is none", "status", "--state", "FAILD", remedy="Use the state it gives."),
    of_run("runs of a name that none has", "status", "--name", "rpy", remedy="`invoke status` shows them."),
    of_run("no tries for the monitor", "monitor", "--most-tries", "0", remedy="Write it as it says."),
    of_run("a budget that is no number", "monitor", "--cost", "much", remedy="Write it as it says."),
    of_run("the monitor without a sweep", "monitor", remedy="Name runs, or submit a sweep."),
    of_run("an unknown run to monitor", "monitor", "--run", "zzzz"),
    of_run("two places for a monitor", "monitor", "--remote", "--in-job", remedy="Leave one of them out."),
    of_run("a monitor here to stop", "monitor", "--stop", remedy="Say where it is."),
    of_run("a job's time without a job", "monitor", "--remote", "--time", "2:00:00", remedy="Leave it out."),
    of_run("a remote look", "monitor", "--remote", "--explain", remedy="Leave one of them out."),
    of_run("an unknown sweep to try again", "retry", "--sweep", "rates", remedy="Write its name as it is."),
    of_run("too much text for memory", "retry", "k3f9", "--mem", "8 GB", remedy="Write it as it says."),
    of_run("runs since a time that is none", "status", "--since", "monday", remedy="Write it as it says."),
    # Values
    asked("a time that is none", "--time", "tomorrow"),
    asked("cores that are no number", "--cpus", "two"),
    asked("memory with a space", "--mem", "4 GB"),
    asked("GPUs without a number", "--gpus", "a100:"),
    asked("no nodes", "--nodes", "0"),
    asked("a partition with a space", "--partition", "gpu long"),
    asked("a preference and nothing to choose from", "--partition", "gpu", "--prefer", "cost"),
    asked("a preference that is none", "--partition", "auto", "--prefer", "fast"),
    asked("an array without its end", "--array", "0-"),
    asked("a dependency without a condition", "--dependency", "4711"),
    asked("links that are no number", "--continue-after-limit=often"),
    asked("an option of sbatch without its dashes", "--sbatch=hold"),
    asked("an option of sbatch that is Slipway's own", "--sbatch=--output=log", remedy="Leave it out."),
    asked(
        "an option of sbatch that has its own here", "--sbatch=--time=5", remedy="Use the one that it names."
    ),
    asked("`--set` without a value", "--set", "TIME"),
    asked("an unknown key behind `--set`", "--set", "TYME=5", remedy="Use the name it gives.", code=65),
    asked("a wrong value behind `--set`", "--set", "CPUS=two", code=65),
    # Profiles
    in_profile("an unknown key in a profile", "CUPS=2\n", "Use the name it gives."),
    in_profile("a wrong value in a profile", "MEM=4 GB\n", "Write it as it says."),
    in_profile("a wrong word in a profile", "MOUNT_HOME=perhaps\n", "Write it as it says."),
    in_profile("a key twice", "GPUS=2\n", "Remove one of the two."),
    in_profile("a line that is no setting", "export\n", "Write `KEY=VALUE`, or `#` before it."),
    in_profile("a quote without its end", "SBATCH=--comment='mine\n", "Close it."),
    Case(
        words="a program's word that is too long",
        code=71,
        spoil=lambda user_checkout: write_profile(user_checkout, PROFILE.replace("main.py", "x" * 131_072)),
        remedy="Put it in a file of the code or the data.",
    ),
    Case(
        words="a required key is missing",
        code=65,
        spoil=lambda user_checkout: write_profile(user_checkout, PROFILE.replace("IMAGE=lab", "IMAGE=")),
        remedy="Set it in the profile.",
    ),
    Case(
        words="no program, neither in the profile nor behind `--`",
        code=64,
        task=(*JOB, "--set", "PROGRAM="),
        remedy="Write the command behind `--`.",
    ),
    # Sites
    in_site("an unknown key in a site's file", module=["apptainer"], remedy="Use the name it gives."),
    in_site("an unknown key of a login", "Use the name it gives.", login={"host": "hpc.invalid", "prot": 22}),
    in_site("a required key of a site is missing", "Write it; `cluster/example.yaml` has all.", paths=None),
    in_site("a time that YAML takes for a number", defaults={"time": 90}),
    in_site("a value that is no list", modules="apptainer"),
    in_site("a value of the wrong kind", login={"host": "hpc.invalid", "port": "ssh"}),
    in_site("a value that is none of a few", gpu_request="gpu"),
    in_site("an array for all jobs", defaults={"array": "0-9"}, remedy="Take it out."),
    in_site("a folder that SLURM cannot take", paths={"scratch": "/scratch/my data"}),
    in_site("a partition's limit that is none", queues={"gpu": {"max_time": "two days"}}),
    Case(words="a site's file that is no YAML", code=65, spoil=unclosed, remedy="Correct the line."),
    # What the site's file rules out
    asked(
        "a partition that the site's file does not list",
        "--partition",
        "gup",
        code=71,
        remedy="Use the name it gives, or add the partition to `queues`.",
    ),
    Case(
        words="longer than the partition allows",
        code=71,
        spoil=lambda user_checkout: user_checkout.profile("TIME=3-0\n"),
        remedy="Change one of the two files.",
    ),
    asked("more nodes than a job may have", "--nodes", "5", code=71, remedy="Ask for less."),
    asked(
        "no partition takes the job",
        "--partition",
        "auto",
        "--gpus",
        "h100:1",
        code=71,
        remedy="Ask for less, or for what there is.",
    ),
    asked("more cores than a node has", "--cpus", "65", code=71, remedy="Ask for less."),
    asked("more memory than a node has", "--mem", "1T", code=71, remedy="Ask for less."),
    asked("more GPUs than a node has", "--gpus", "8", code=71, remedy="Ask for fewer, on more `--nodes`."),
    Case(
        words="GPUs of a type that is not there",
        code=71,
        spoil=lambda user_checkout: user_checkout.profile("GPUS=h100:1\n", "local"),
        remedy="Name one of those that it gives.",
    ),
    asked(
        "GPUs where there are none",
        "--partition",
        "cpu",
        "--gpus",
        "1",
        code=71,
        remedy="Name another partition.",
    ),
    Case(
        words="a site's own default is too much",
        code=71,
        spoil=lambda user_checkout: user_checkout.change_site(defaults={"partition": "gpu", "cpus": 128}),
        remedy="Correct the file.",
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def tunnel() -> Iterator[Forked]:
    with forked_tasks() as tunnel:
        yield tunnel


@pytest.fixture
def user_checkout(tunnel: Forked, tmp_path: Path) -> UserCheckout:
    return make_user_checkout(tmp_path, tunnel, SITE, PROFILE, {r"'x{50,}…": "'xxx…"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
def test_a_mistake(user_checkout: UserCheckout, case: Case) -> None:
    case.spoil(user_checkout)
    message = user_checkout.refuse(*case.task, code=case.code)
    TABLE.check(Mistake(words=case.words, code=case.code, message=message, remedy=case.remedy))


def test_the_document_has_these_and_no_others() -> None:
    TABLE.check_order([case.words for case in CASES])


@pytest.mark.parametrize("option", [["--sbatch", "--hold"], ["--sbatch=--hold"]])
def test_an_option_of_sbatch_is_no_word_of_slipways(user_checkout: UserCheckout, option: list[str]) -> None:
    """It is let through; what is not there is the site."""
    done = user_checkout.invoke(*JOB, *option)
    assert done.returncode == 77, done.stderr


def test_a_process_of_its_own_says_the_same(user_checkout: UserCheckout) -> None:
    words = ["-m", "invoke", "jbo"]
    alone = subprocess.run(
        [sys.executable, *words], cwd=user_checkout.folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    forked = user_checkout.invoke("jbo")
    assert (alone.returncode, alone.stdout, alone.stderr) == (64, forked.stdout, forked.stderr)
