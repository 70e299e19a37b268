"""ssh into the container of a running job: OpenSSH's own client, as editors start it."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slipway.editor.entry import INCLUDE
from slipway.errors import JobError, UsageError
from slipway.job.run import Run
from slipway.scheduler.base import State
from slipway.steps import editor
from tests.integration.small_image import UNTIL_LET_GO, SmallImageBox
from tests.waiting import PATIENCE_S, wait_until

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
SERVE = r"""
use IO::Socket::INET;
my @place = (LocalAddr => "127.0.0.1", LocalPort => 8125, ReuseAddr => 1);
my $server = IO::Socket::INET->new(@place, Listen => 5) or die $!;
if (my $client = $server->accept) { print $client "hello"; close $client }
"""


@pytest.fixture
def home(small: SmallImageBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    # ssh starts a Slipway of its own.
    monkeypatch.setenv("SLIPWAY_STATE", str(small.session.project.state))
    return tmp_path


@contextmanager
def running(small: SmallImageBox, *binds: str) -> Iterator[Run]:
    site = small.choice.site
    container = site.container.model_copy(update={"binds": (*site.container.binds, *binds)})
    with small.connect() as remote:
        run = small.submit(
            remote,
            "sh",
            "-c",
            f"perl -e '{SERVE}' & {UNTIL_LET_GO}",
            site=site.model_copy(update={"container": container}),
        )
    yield small.wait_for(run, State.RUNNING)
    small.let_go(run)
    small.wait_for(run)


@pytest.fixture
def run(small: SmallImageBox) -> Iterator[Run]:
    with running(small) as run:
        yield run


@pytest.fixture
def no_sshd(small: SmallImageBox) -> Iterator[None]:
    """The nodes have an sshd for root alone, and a copy that a job's container can be given."""
    small.as_root("sh", "-c", "cp /usr/sbin/sshd /opt/sshd; chmod 700 /usr/sbin/sshd")
    yield
    small.as_root("chmod", "755", "/usr/sbin/sshd")


def ssh(home: Path, *words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [words[0], "-F", str(home / ".ssh" / "slipway_config"), *words[1:]],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_ssh_lands_in_the_container_with_files_and_ports(small: SmallImageBox, run: Run, home: Path) -> None:
    entry = editor.write_entry(small.session, run, small.choice.site, None)
    alias = entry.alias

    script = "echo $SLIPWAY_RUN; cat /code/file; pwd; cd; pwd; cat; exit 5"
    done = ssh(home, "ssh", alias, script, stdin=b"to it\0")
    assert done.returncode == 5, done.stderr
    said = done.stdout.split(b"\n", 4)
    assert said[:3] == [run.run_id.encode(), b"code", b"/code"]
    # No home folder is in the container; this one can be written to.
    assert said[3].startswith(b"/tmp/slipway-home-")
    assert said[4] == b"to it\0"

    sent, back = home / "sent", home / "back"
    sent.write_bytes(bytes(range(256)) * 10_000)
    assert ssh(home, "scp", str(sent), f"{alias}:/out/sent").returncode == 0
    done = ssh(home, "scp", f"{alias}:/out/sent", str(back))
    assert done.returncode == 0, done.stderr
    assert back.read_bytes() == sent.read_bytes()

    assert ssh(home, "ssh", "-W", "127.0.0.1:8125", alias).stdout == b"hello"

    # Nobody but who has the key made for it.
    config = home / ".ssh" / "slipway_config"
    own = small.session.project.state / "box" / "id_ed25519"
    config.write_text(re.sub("IdentityFile .*", f"IdentityFile {own}", config.read_text()))
    done = ssh(home, "ssh", alias, "true")
    assert (done.returncode, b"Permission denied (publickey)" in done.stderr) == (255, True)
    wait_until(lambda: not small.is_so("ls -d /tmp/slipway-ssh.*"), "the end of what served the connections")


def test_the_entry_and_the_line_come_and_go(small: SmallImageBox, run: Run, home: Path) -> None:
    config = home / ".ssh" / "config"
    config.parent.mkdir()
    config.write_bytes(b"Host other\r\n    User me")
    config.chmod(0o640)
    entry = editor.write_entry(small.session, run, small.choice.site, None)
    key = entry.identity.read_bytes()
    assert entry.identity.stat().st_mode & 0o777 == 0o600
    assert entry.folder.stat().st_mode & 0o777 == 0o700
    assert editor.write_entry(small.session, run, small.choice.site, None) == entry
    assert entry.identity.read_bytes() == key
    assert editor.needs_include()
    assert editor.write_include() == config
    assert config.read_bytes() == INCLUDE.encode() + b"Host other\r\n    User me"
    assert config.stat().st_mode & 0o777 == 0o640
    assert not editor.needs_include()

    assert len(editor.remove_entries(small.session, [entry.alias])) == 2
    assert config.read_bytes() == b"Host other\r\n    User me"
    assert not (home / ".ssh" / "slipway_config").exists()
    assert not entry.folder.exists()
    assert editor.remove_entries(small.session, None) == []
    with pytest.raises(UsageError, match="is no array"):
        editor.write_entry(small.session, run, small.choice.site, 3)


@pytest.mark.long
def test_a_run_that_is_over_has_no_entry(small: SmallImageBox, home: Path) -> None:
    with running(small) as run:
        old = editor.write_entry(small.session, run, small.choice.site, None)
    with pytest.raises(JobError, match="is over"):
        editor.write_entry(small.session, small.look(run.run_id), small.choice.site, None)
    config = home / ".ssh" / "slipway_config"
    with running(small) as other:
        new = editor.write_entry(small.session, other, small.choice.site, None)
        assert f"Host {new.alias}" in config.read_text()
    assert f"Host {old.alias}" not in config.read_text()
    assert not old.folder.exists()


@pytest.mark.long
def test_where_the_node_has_no_sshd_that_of_the_image_serves(
    small: SmallImageBox, home: Path, no_sshd: None
) -> None:
    binds = ["/opt/sshd:/usr/sbin/sshd", *(f"{one}:{one}" for one in ("/usr/lib/openssh", LIBRARIES))]
    with running(small, *binds) as run:
        alias = editor.write_entry(small.session, run, small.choice.site, None).alias
        done = ssh(home, "ssh", alias, "echo $SLIPWAY_RUN; cat /code/file; exit 5")
        said = f"{run.run_id}\ncode\n".encode()
        assert (done.returncode, done.stdout) == (5, said), done.stderr
        (home / "sent").write_bytes(b"content")
        assert ssh(home, "scp", str(home / "sent"), f"{alias}:/out/sent").returncode == 0
    with running(small) as run:
        alias = editor.write_entry(small.session, run, small.choice.site, None).alias
        done = ssh(home, "ssh", alias, "true")
        assert done.returncode == 255
        assert b"neither the node nor the image has sshd; install openssh-server" in done.stderr
