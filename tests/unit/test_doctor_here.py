"""What `doctor` makes of this machine."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import rsa

from slipway.doctor.catalog import CHECKS
from slipway.doctor.check import NO_ANSWER, Facts
from slipway.doctor.finding import Finding, Verdict
from slipway.doctor.here.docker import judge_disk
from slipway.doctor.here.key import judge_agent, judge_keys
from slipway.project import Project
from slipway.site import Login
from tests.unit.test_doctor import facts, site
from tests.waiting import PATIENCE_S, wait_until

BY_NAME = {one.name: one for one in CHECKS}
OK, WARNING, FAILED, SKIPPED = Verdict.OK, Verdict.WARNING, Verdict.FAILED, Verdict.SKIPPED


def look(name: str, known: Facts) -> Finding:
    found = BY_NAME[name].look(known, NO_ANSWER)
    if found.verdict in (FAILED, WARNING):
        assert found.consequence, found
        assert found.fix, found
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with nothing in it, and no agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    return tmp_path


def make_key(file: Path, mode: int = 0o600) -> Path:
    from slipway.box.spec import _make_key

    _make_key(file)
    file.chmod(mode)
    return file


def test_an_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    found = look("docker", facts())
    assert found.verdict is FAILED
    assert "does not run" in found.seen
    assert found.fix.startswith("start it")


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(50_000_000_000, OK), (9_000_000_000, WARNING), (900_000_000, FAILED), (None, SKIPPED)],
)
def test_the_engines_disk(free: int | None, verdict: Verdict) -> None:
    assert judge_disk("/var/lib/docker", free).verdict is verdict


def test_no_rsync(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look("rsync-here", facts()).verdict is WARNING
    assert look("rsync-here", facts(site(login=Login(host="h", transfer="rsync")))).verdict is FAILED
    assert look("rsync-here", facts(site(login=Login(host="h", transfer="sftp")))).verdict is SKIPPED


def test_an_rsync_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "rsync").write_text("#!/bin/sh\necho 'openrsync: protocol version 29'\n")
    (tmp_path / "rsync").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = look("rsync-here", facts())
    assert found.verdict is WARNING
    assert "openrsync" in found.seen


def test_neither_apptainer_nor_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    found = look("apptainer", facts())
    assert (found.verdict, found.seen) == (FAILED, "there is none here, and no Docker that could run it")


def test_an_apptainer_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apptainer").write_text("#!/bin/sh\necho 'GLIBC_2.38 not found' >&2\nexit 1\n")
    (tmp_path / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = look("apptainer", facts())
    assert found.verdict is FAILED
    assert "GLIBC_2.38 not found" in found.seen


def test_no_key_at_all(home: Path) -> None:
    found = look("key", facts(site(login=Login(host="127.0.0.1"))))
    assert (found.verdict, found.seen) == (WARNING, "there is no key")
    (home / ".ssh" / "config").write_text("Host *\n  PreferredAuthentications publickey\n")
    assert look("key", facts(site(login=Login(host="127.0.0.1")))).verdict is FAILED


def test_a_key(home: Path) -> None:
    make_key(home / ".ssh" / "id_ed25519")
    assert look("key", facts(site(login=Login(host="127.0.0.1")))).seen == "1 to try: ~/.ssh/id_ed25519"
    # Without a site OpenSSH's own names are looked at.
    assert look("key", facts(site=None)).verdict is OK


def test_a_key_that_others_may_read_is_named_with_its_remedy(home: Path) -> None:
    key = make_key(home / ".ssh" / "id_ed25519", 0o644)
    found = look("key", facts(site(login=Login(host="127.0.0.1"))))
    assert found.verdict is WARNING
    assert "others may read it" in found.seen
    assert found.fix == f"`chmod 600 {key}`"
    (home / ".ssh" / "config").write_text("Host *\n  PreferredAuthentications publickey\n")
    assert look("key", facts(site(login=Login(host="127.0.0.1")))).verdict is FAILED


def test_one_of_two_keys_is_refused(home: Path) -> None:
    make_key(home / ".ssh" / "id_ed25519")
    make_key(home / ".ssh" / "id_rsa", 0o640)
    found = look("key", facts(site(login=Login(host="127.0.0.1"))))
    assert found.verdict is WARNING
    assert found.consequence == "it is left out; ~/.ssh/id_ed25519 is tried"


def test_a_key_whose_passphrase_would_be_asked_for_can_be_tried(home: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.BestAvailableEncryption(b"secret")
    )
    file = home / ".ssh" / "id_rsa"
    file.write_bytes(text)
    file.chmod(0o600)
    assert look("key", facts(site=None)).seen == "1 to try: ~/.ssh/id_rsa"


def test_an_ssh_config_that_is_missing(home: Path, tmp_path: Path) -> None:
    where = site(login=Login(host="h", ssh_config="box/ssh_config"))
    project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
    found = look("key", facts(where, project=project))
    assert found.verdict is FAILED
    assert "`invoke box.up` starts one" in found.fix


def test_keys_by_their_problems() -> None:
    assert judge_keys(["a"], [], may_do_without=False, site="hpc").verdict is OK
    assert (
        judge_keys(["a"], ["the agent at /x does not answer"], may_do_without=False, site="hpc").verdict is OK
    )
    assert judge_keys([], ["/k is damaged: cut off"], may_do_without=False, site="hpc").verdict is FAILED
    # What is to be typed has the site's own name.
    assert judge_keys([], [], may_do_without=False, site="hpc").fix.startswith("`invoke ssh.setup hpc` makes")


def test_an_agent_that_does_not_answer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "gone"))
    found = look("agent", facts(site=None))
    assert found.verdict is WARNING
    assert "does not answer" in found.seen
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert look("agent", facts(site=None)).verdict is SKIPPED


def test_a_real_agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(home / "agent")], stdout=subprocess.DEVNULL)
    try:
        wait_until((home / "agent").exists, "no agent")
        assert look("agent", facts(site=None)).verdict is WARNING
        key = make_key(home / "mine")
        subprocess.run(["ssh-add", "-q", str(key)], check=True, timeout=PATIENCE_S)
        assert look("agent", facts(site=None)).seen == "it holds 1 key"
        assert look("key", facts(site=None)).verdict is OK
    finally:
        agent.terminate()
        agent.wait(timeout=PATIENCE_S)


def test_an_agent_by_its_keys() -> None:
    assert judge_agent("/x", 2, None).seen == "it holds 2 keys"
    assert judge_agent("/x", 0, None).verdict is WARNING


@pytest.mark.parametrize(("mode", "verdict"), [(0o600, OK), (0o644, OK), (0o664, WARNING), (0o602, WARNING)])
def test_the_users_ssh_config(home: Path, mode: int, verdict: Verdict) -> None:
    file = home / ".ssh" / "config"
    file.write_text("")
    file.chmod(mode)
    assert look("ssh-config", facts()).verdict is verdict


def test_no_ssh_config_is_skipped(home: Path) -> None:
    assert look("ssh-config", facts()).verdict is SKIPPED
