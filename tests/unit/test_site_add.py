"""`site.add`: what a cluster says of itself, read and written into a file."""

import shutil
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml
from invoke.context import Context

from slipway.cli.init import init as init_task
from slipway.errors import SshError
from slipway.init.cluster import (
    ClusterFacts,
    Folder,
    facts_command,
    modules_command,
    parse_facts,
    scratch_command,
)
from slipway.init.site_text import SiteChoice, render_site
from slipway.multiplex.folder import socket_path
from slipway.multiplex.kept import Kept
from slipway.project import Project
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login
from slipway.site_file import load_site
from slipway.ssh.target import resolve_target
from slipway.steps import site_add
from slipway.steps.queues import FileChange, write_change
from slipway.steps.session import Session
from slipway.steps.site_add import FoundSite, SiteOptions, find_site, write_site

TCL = """\
/usr/share/modules/modulefiles:
apptainer/1.4
dot
singularity/3.8.7(default)
"""
LMOD = """\
Welcome to hpc: ask us about apptainer!
/opt/modulefiles/Core:
apptainer/
apptainer/1.3.4
apptainer/1.10.0
eth_proxy
tools/apptainer-utils/2.0 (D)
"""
FACTS = (
    "motd\nslipway|user|me\nslipway|kernel|5.14.0-427.el9\nslipway|sbatch|/usr/bin/sbatch\nslipway|rsync|\n"
)
SCRATCH = """\
slipway|DATA_HOME|100|/data/me
slipway|WORK|2000000000|/work/me
slipway|MY_SCRATCH|5|/lustre/me
slipway|SCRATCH||/scratch/me
slipway||7|/scratch/me
slipway||7|/data2/me
slipway|HOME|9|/home/me
"""


def test_folders_are_in_the_order_of_their_likelihood() -> None:
    found = parse_facts(FACTS, SCRATCH, "").folders
    assert [one.written for one in found] == [
        "$SCRATCH",
        "$MY_SCRATCH",
        "$WORK",
        "$DATA_HOME",
        "/data2/me",
        "$HOME",
    ]
    assert (found[0].free_bytes, found[2].free_bytes) == (None, 2_048_000_000_000)


@pytest.mark.parametrize(
    ("modules", "container"),
    [
        (TCL, ("apptainer", "apptainer/1.4")),
        (LMOD, ("apptainer", "apptainer/1.10.0")),
        (
            "singularity/3.5\nsingularity/3.8.7(default)\nsingularity/3.9\n",
            ("singularity", "singularity/3.8.7"),
        ),
        ("tools/apptainer/1.2\n", ("apptainer", "tools/apptainer/1.2")),
        ("bash: module: command not found\n", None),
        ("", None),
    ],
)
def test_the_module_that_has_containers(modules: str, container: tuple[str, str] | None) -> None:
    assert parse_facts(FACTS, "", modules).container == container


def test_a_command_that_is_there_needs_no_module() -> None:
    facts = parse_facts(FACTS + "slipway|singularity|/usr/bin/singularity\n", "", TCL)
    assert facts.container == ("singularity", None)


def test_what_is_said_in_other_forms_is_left_out() -> None:
    facts = parse_facts("slipway|\nslipway\n|x|y\n" + FACTS, "slipway|A|x\n", LMOD)
    assert dict(facts.values) == {"user": "me", "kernel": "5.14.0-427.el9", "sbatch": "/usr/bin/sbatch"}
    assert facts.proxies == ["eth_proxy"]
    assert facts.modules == [
        "apptainer/1.3.4",
        "apptainer/1.10.0",
        "eth_proxy",
        "tools/apptainer-utils/2.0",
    ]
    assert facts.reads_zstd
    assert not parse_facts(FACTS.replace("5.14", "3.10"), "", "").reads_zstd


def run(argv: list[str], tmp_path: Path, **variables: str) -> str:
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path), **variables}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_scripts_run(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    scratch, bin_ = tmp_path / "my scratch", tmp_path / "bin"
    scratch.mkdir()
    bin_.mkdir()
    (bin_ / "sh").symlink_to(str(shutil.which(shell)))
    gone = str(tmp_path / "gone")
    found = run(scratch_command(), tmp_path, SCRATCH=str(scratch), WORK=gone, OTHER_SCRATCHY="words")
    folders = parse_facts("", found, "").folders
    assert [(one.name, one.path) for one in folders] == [("SCRATCH", str(scratch)), ("HOME", str(tmp_path))]
    assert all(one.free_bytes for one in folders)
    (bin_ / "singularity").write_text("#!/bin/sh\necho singularity-ce version 4.1\n")
    (bin_ / "singularity").chmod(0o755)
    values = parse_facts(run(facts_command(), tmp_path), "", "").values
    assert values["singularity"] == str(bin_ / "singularity")
    assert values["singularity.version"] == "singularity-ce version 4.1"
    assert "sbatch" not in values
    (tmp_path / ".bash_profile").write_text(
        "echo welcome; module() { echo /opt/m: >&2; echo apptainer/1.4 >&2; echo gcc/12 >&2; }\n"
    )
    assert run(modules_command(), tmp_path) == "apptainer/1.4\n"


CHOICE = SiteChoice(
    name="hpc",
    host="login.hpc.example.org",
    user="me",
    scratch="$SCRATCH",
    container=("apptainer", "apptainer/1.4"),
    account="lab",
    partition="gpu",
    gpu_request="gres",
    accounts={"lab": ["normal", "quick"], "other": []},
    queues={"gpu": {"max_time": "1:00:00", "max_gpus": {"a100": 4}}, "vip": {}},
)
FOUND = ClusterFacts(
    values={"kernel": "3.10.0-1160", "tmp_folder": "/tmp", "tmp_mb": "900000+"},
    folders=[Folder(name="SCRATCH", path="/scratch/me", free_bytes=10**12)],
    modules=["apptainer/1.4", "singularity/3.8", "eth_proxy"],
)


def test_the_file_has_what_was_found_and_can_be_read(tmp_path: Path) -> None:
    text = render_site(CHOICE, FOUND, date(2026, 1, 31))
    (tmp_path / "hpc.yaml").write_text(text)
    site = load_site([tmp_path], "hpc")
    assert isinstance(site, SlurmSite)
    assert (site.login.user, site.paths.scratch, site.modules) == ("me", "$SCRATCH", ("apptainer/1.4",))
    assert (site.container.command, site.container.compression) == ("apptainer", "gzip")
    assert (site.defaults.account, site.defaults.partition) == ("lab", "gpu")
    assert site.queues["gpu"].max_gpus == {"a100": 4}
    for line in (
        "  # What could be written to: $SCRATCH (/scratch/me, 1,000 GB free).",
        "  # node_local: /tmp",
        "# Others of this sort: singularity/3.8.",
        "  # Your account lab, with qos normal, quick.",
        "  # Your account other.",
    ):
        assert f"{line}\n" in text
    assert max(map(len, text.splitlines())) <= 120


def test_little_that_is_known_makes_a_file_as_well(tmp_path: Path) -> None:
    bare = SiteChoice(name="x", host="h", scratch="/s", accounts={}, queues={"no": {}})
    text = render_site(bare, ClusterFacts(), date(2026, 1, 31))
    (tmp_path / "x.yaml").write_text(text)
    assert [*load_site([tmp_path], "x").queues] == ["no"]
    assert "# modules: [apptainer]" in text
    assert yaml.safe_load(text)["defaults"] == {"time": "1:00:00"}


def test_a_file_is_written_once_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "cluster" / "hpc.yaml"
    change = FileChange(file=file, old="", new="new\n")
    write_site(change, replace=False)
    assert file.read_text() == "new\n"
    with pytest.raises(Exception, match="was written meanwhile, and stays as it is"):
        write_site(FileChange(file=file, old="", new="newer\n"), replace=False)
    assert file.read_text() == "new\n"
    write_site(FileChange(file=file, old="new\n", new="newer\n"), replace=True)
    assert [one.name for one in file.parent.iterdir()] == ["hpc.yaml"]
    with pytest.raises(Exception, match="was changed meanwhile; nothing was written"):
        write_change(change)
    assert file.read_text() == "newer\n"


# --- The login


KEPT = Kept(
    path=Path("/run/one.login"),
    target="me@login.invalid:22",
    names=("hpc",),
    since=0.0,
    until=None,
    idle_s=0.0,
    keep_s=28800.0,
    users=0,
)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))


@pytest.mark.parametrize("user", [None, "me"])
def test_a_login_that_is_left_is_found_by_the_sites_file(session: Session, user: str | None) -> None:
    """Its socket's name is made of how the host is reached, which the file has to say in the same way."""
    home = session.project.root
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text("Host hpc\n  HostName login.invalid\n  Port 2222\n  User you\n")
    login = Login(host="hpc", user=user)
    choice = SiteChoice(name="hpc", host="hpc", user=user, scratch="/s", accounts={}, queues={"debug": {}})
    (home / "cluster").mkdir()
    text = render_site(choice, parse_facts(FACTS, SCRATCH, ""), date(2026, 1, 31))
    (home / "cluster" / "hpc.yaml").write_text(text)
    read = session.site("hpc").login
    assert read == login
    paths = [socket_path(home, resolve_target(one, session.project.state)) for one in (login, read)]
    assert paths[0] == paths[1]


def test_a_login_is_left_where_that_is_wanted_and_something_came_of_it(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, ended = list[str](), list[Path]()

    def leave(_: Session, login: Login, name: str) -> Kept:
        left.append(f"{name} {login.host}")
        return KEPT

    def fail(*_: object, **__: object) -> None:
        raise SshError("the line was lost")

    monkeypatch.setattr(site_add, "leave_login", leave)
    monkeypatch.setattr(site_add, "connect", fail)
    monkeypatch.setattr(site_add, "end_kept", ended.append)
    options = SiteOptions(name="hpc", host="login.invalid", yes=True)
    with pytest.raises(SshError):
        find_site(session, options)
    assert (left, ended) == ([], [])
    with pytest.raises(SshError):
        find_site(session, replace(options, keep=True))
    assert (left, ended) == (["hpc login.invalid"], [KEPT.path])


@pytest.mark.parametrize("kept", [KEPT, None])
def test_a_new_project_says_that_it_is_logged_in(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kept: Kept | None,
) -> None:
    asked = list[SiteOptions]()

    def find(_: Session, options: SiteOptions) -> FoundSite:
        asked.append(options)
        change = FileChange(file=tmp_path / "cluster" / "hpc.yaml", old="", new="login: {host: a}\n")
        return FoundSite(change=change, lines=["found"], kept=kept)

    monkeypatch.setattr(site_add, "find_site", find)
    folder = tmp_path / "new"
    folder.mkdir()
    monkeypatch.chdir(folder)
    init_task(Context(), site="hpc", host="login.invalid", from_host=True, yes=True)
    assert [one.keep for one in asked] == [True]
    said = capsys.readouterr()
    words = "All commands of yours here use this login until none has for 8 h; `invoke logout hpc` ends it"
    assert (words in " ".join(said.err.split())) is (kept is not None)
