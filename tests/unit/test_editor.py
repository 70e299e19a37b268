"""Entries of ssh_config for runs, as OpenSSH itself reads them."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.editor.entry import (
    INCLUDE,
    Entry,
    aliases,
    entry_text,
    is_name_taken,
    proxy_command,
    second_name,
    with_entry,
    with_include,
    without_entry,
    without_include,
)
from slipway.job.run import Status
from slipway.lock import only_one
from slipway.multiplex.folder import make_folder
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from slipway.steps import editor
from slipway.steps.session import Session
from tests.unit.test_run import make_run
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]

PROXY = proxy_command(
    "/usr/bin/python 3", Path("/a 100% project's"), ["SLIPWAY_STATE=/s t"], ["--run", "k3f9"]
)


def entry(alias: str, folder: Path = Path("/keys 100%/k3f9")) -> Entry:
    return Entry(alias=alias, user="me", folder=folder, proxy=PROXY)


def read(file: Path, alias: str) -> dict[str, str]:
    """What ssh makes of it."""
    argv = ["ssh", "-F", str(file), "-G", alias]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_openssh_reads_an_entry_as_it_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(with_entry("", entry("slipway-k3f9")) + "Host *\n    ProxyJump other\n    User other\n")
    found = read(file, "slipway-k3f9")
    assert found["user"] == "me"
    assert found["identityfile"].replace("%%", "%") == "/keys 100%/k3f9/id_ed25519"
    assert found["stricthostkeychecking"] in ("yes", "true")
    assert found["hostkeyalias"] == "slipway-k3f9"
    assert "proxyjump" not in found
    assert found["proxycommand"].replace("%%", "%").endswith("-m slipway ssh.proxy --run k3f9")


def test_the_proxy_is_started_in_the_project_by_any_shell(tmp_path: Path) -> None:
    root = tmp_path / "it's a 100% project"
    root.mkdir()
    program = tmp_path / "py thon"
    program.write_text('#!/bin/sh\npwd\nprintf "%s\\n" "$SLIPWAY_STATE" "$@"\n')
    program.chmod(0o755)
    argv = proxy_command(str(program), root, ["SLIPWAY_STATE=/s t"], ["--run", "k3f9"])
    line = entry_text(Entry(alias="a", user="me", folder=tmp_path, proxy=argv))
    command = line.partition("ProxyCommand ")[2].strip().replace("%%", "%")
    done = subprocess.run(
        ["sh", "-c", f"exec {command}"], check=True, capture_output=True, text=True, timeout=PATIENCE_S
    )
    said = [str(root), "/s t", "-m", "slipway", "ssh.proxy", "--run", "k3f9"]
    assert done.stdout.splitlines() == said


def test_entries_come_and_go_by_themselves() -> None:
    both = with_entry(with_entry("", entry("slipway-a")), entry("slipway-b"))
    assert aliases(both) == ["slipway-a", "slipway-b"]
    assert with_entry(both, entry("slipway-b")) == both
    assert aliases(with_entry(both, entry("slipway-a"))) == ["slipway-b", "slipway-a"]
    assert without_entry(both, "slipway-b") == with_entry("", entry("slipway-a"))
    assert without_entry(without_entry(both, "slipway-b"), "slipway-a") == ""
    assert without_entry(both, "slipway") == both


@pytest.mark.parametrize("text", ["", "Host a\n    User b\n", "User x", "\r\nHost a\r\n"])
def test_the_line_that_includes_them_goes_as_it_came(text: str) -> None:
    assert with_include(text) == INCLUDE + text
    assert with_include(with_include(text)) == INCLUDE + text
    assert without_include(with_include(text)) == text
    assert without_include(text) == text


def test_what_the_node_is_told_is_clean_shell() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    script = Path(__file__).parents[2] / "cluster" / "editor.sh"
    subprocess.run([str(checker), str(script)], check=True, timeout=PATIENCE_S)


def test_a_home_folder_that_somebody_else_has_put_there_is_not_used(tmp_path: Path) -> None:
    """Others may write to the node's /tmp, and see the run's id."""
    script = ROOT / "cluster" / "editor.sh"
    argv = ["bash", str(script), "eval", 'printf %s "$inside"']
    inside = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
    run = f"test-{os.getpid()}"
    home = Path(f"/tmp/slipway-home-{os.getuid()}-{run}")
    environment = {**os.environ, "HOME": "/nowhere", "SLIPWAY_RUN": run}
    command = ["sh", "-c", inside, "slipway", "command", 'echo "$HOME"']
    try:
        home.symlink_to(tmp_path)
        done = subprocess.run(command, capture_output=True, env=environment, text=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert "is somebody else's" in done.stderr
        home.unlink()
        done = subprocess.run(command, capture_output=True, env=environment, text=True)
        assert (done.returncode, done.stdout) == (0, f"{home}\n")
        assert home.stat().st_mode & 0o777 == 0o700
    finally:
        home.unlink() if home.is_symlink() else home.rmdir()


# --- Names


def test_a_name_that_was_given_is_a_second_one(tmp_path: Path) -> None:
    file = tmp_path / "config"
    named = replace(entry("slipway-k3f9"), also=second_name("rpy-Long.2", None))
    file.write_text(with_entry("", named))
    for alias in ("slipway-k3f9", "slipway-rpy-Long.2"):
        found = read(file, alias)
        assert (found["user"], found["hostkeyalias"]) == ("me", "slipway-k3f9")
    assert aliases(file.read_text()) == ["slipway-k3f9"]
    assert without_entry(file.read_text(), "slipway-k3f9") == ""


def test_what_is_no_plain_word_is_no_second_name() -> None:
    assert second_name(None, None) is None
    assert second_name("größe", None) is None
    assert second_name("rpy", 3) == "slipway-rpy-3"


def test_a_second_name_stays_with_whom_has_it() -> None:
    first, second = (replace(entry(alias), also="slipway-rpy") for alias in ("slipway-a", "slipway-b"))
    text = with_entry("", first)
    assert is_name_taken(text, second)
    assert not is_name_taken(text, first)
    assert is_name_taken(text, replace(entry("slipway-c"), also="slipway-a"))
    assert not is_name_taken(text, entry("slipway-c"))


# --- The files


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("HOME", str(tmp_path))
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
    return Session(project=project)


SITE = SlurmSite(name="box", login=Login(host="127.0.0.1", user="me"), paths=Paths(scratch="/s"))


def test_entries_that_are_written_at_once_are_all_there(session: Session) -> None:
    runs = [make_run(f"{one:04d}-cpu-20260131-142530") for one in range(12)]
    with ThreadPoolExecutor(len(runs)) as pool:
        written = [*pool.map(lambda run: editor.write_entry(session, run, SITE, None).alias, runs)]
    file = editor.ssh_folder() / "slipway_config"
    assert sorted(aliases(file.read_text())) == sorted(written)
    with ThreadPoolExecutor(len(runs)) as pool:
        done = [*pool.map(lambda alias: editor.remove_entries(session, [alias]), written[1:])]
    assert all(done)
    assert aliases(file.read_text()) == written[:1]


def test_entries_are_changed_by_one_command_at_a_time(session: Session) -> None:
    """Whoever has the lock is waited for, by what writes and by what removes."""
    run = make_run("aaaa-cpu-20260131-142530")
    editor.write_entry(session, run, SITE, None)
    changes = (
        lambda: editor.write_entry(session, run, SITE, None),
        lambda: editor.remove_entries(session, None),
        editor.write_include,
    )
    for change in changes:
        with ThreadPoolExecutor(1) as pool:
            with only_one(make_folder() / "slipway_config.lock", lambda: None):
                waiting = pool.submit(change)
                with pytest.raises(TimeoutError):
                    waiting.result(0.3)
            waiting.result(PATIENCE_S)


def test_a_run_is_found_by_its_name_as_long_as_no_other_has_it(session: Session) -> None:
    first, second = (
        replace(make_run(f"{one}-cpu-20260131-142530"), name="rpy-long") for one in ("aaaa", "bbbb")
    )
    assert editor.write_entry(session, first, SITE, None).also == "slipway-rpy-long"
    assert editor.write_entry(session, second, SITE, None).also is None
    assert editor.write_entry(session, first, SITE, None).also == "slipway-rpy-long"
    text = (editor.ssh_folder() / "slipway_config").read_text()
    assert text.count("slipway-rpy-long") == 1
    # As soon as it is over, the name is free.
    session.store.save(replace(first, status=Status(state=State.COMPLETED)))
    assert editor.write_entry(session, second, SITE, None).also == "slipway-rpy-long"


# --- What the node is left with


def test_what_a_killed_connection_has_left_is_removed(tmp_path: Path) -> None:
    """By the next one of the same user; not what one that is alive uses, nor what a link leads to."""
    gone = subprocess.Popen(["true"])
    gone.wait(PATIENCE_S)
    begin = tmp_path / "slipway-ssh.node-1.4026531836"
    dead = Path(f"{begin}.{gone.pid}.aaaaaaaa")
    stay = [
        Path(f"{begin}.{os.getpid()}.bbbbbbbb"),
        tmp_path / f"slipway-ssh.node-2.4026531836.{gone.pid}.cccccccc",
        tmp_path / "slipway-ssh.dddddddd",
        Path(f"{begin}.x.eeeeeeee"),
    ]
    for folder in (dead, *stay):
        folder.mkdir()
        (folder / "host_key").touch()
    link = Path(f"{begin}.{gone.pid}.ffffffff")
    link.symlink_to(stay[1])
    script = ROOT / "cluster" / "editor.sh"
    subprocess.run(["bash", str(script), "remove_left", str(begin)], check=True, timeout=PATIENCE_S)
    assert not dead.exists()
    assert all((folder / "host_key").exists() for folder in stay)
    assert link.is_symlink()


def test_a_connection_begins_with_that_and_leaves_nothing(tmp_path: Path) -> None:
    """The node's sshd is a stand-in."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mktemp").write_text('#!/bin/sh\necho "$2" >>"$NOTED"\nexec /usr/bin/mktemp "$@"\n')
    (tools / "mktemp").chmod(0o755)
    script = (ROOT / "cluster" / "editor.sh").read_text()
    script = script.replace("/tmp/slipway-ssh", f"{tmp_path}/slipway-ssh").replace(
        "/usr/sbin/sshd", "/bin/true"
    )
    argv = ["bash", "-c", script, "slipway-editor", "serve", "0", "key", "", "id", "/run", "", "", ""]
    noted = tmp_path / "noted"
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NOTED": str(noted)}
    environment["SLURM_JOB_ID"] = "7"
    process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL)
    assert process.wait(PATIENCE_S) == 0
    namespace = re.sub("[^0-9]", "", str(Path("/proc/self/ns/pid").readlink()))
    assert (
        noted.read_text()
        == f"{tmp_path}/slipway-ssh.{os.uname().nodename}.{namespace}.{process.pid}.XXXXXXXX\n"
    )
    assert not [*tmp_path.glob("slipway-ssh.*")]
    left = tmp_path / noted.read_text().strip().replace("XXXXXXXX", "killed")
    left.mkdir()
    subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE_S)
    assert not left.exists()
