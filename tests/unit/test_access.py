"""Lines that are ours, and what looks at and changes a home folder, run by this machine's sh."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from slipway.access import there
from slipway.access.here import made_keys, make_own_key, own_keys, remove_known_lines, remove_own_key
from slipway.access.mark import add_lines, has_key, mark, remove_marked
from slipway.errors import HostError, RemoteError
from slipway.host.host import Host
from slipway.shell import Result
from slipway.ssh.hostkey import HostKey, add_known, known_line, list_keys
from slipway.ssh.prompt import NoPrompt
from slipway.ssh.target import Target
from tests.waiting import PATIENCE_S

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8Ht8oO0m9vFhF0LWd1vJ0p8ERp1fVqN8mWtVwYkq1W"
OTHERS = [b"", b"\n", b"no end", b"# slipway:hpc:me\nssh-rsa AAAA a b\n\r\n", b"\xff\xfe\0\n"]


class Here:
    """This machine, with another home folder, in the place of a host."""

    target = "researcher@here:22"

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        done = subprocess.run(
            argv,
            input=(stdin or "").encode("utf-8", "surrogateescape"),
            capture_output=True,
            env={**os.environ, "HOME": str(self.home)},
            timeout=PATIENCE_S,
        )
        stdout = done.stdout.decode("utf-8", "surrogateescape")
        return Result(argv=tuple(argv), exit_code=done.returncode, stdout=stdout, stderr=done.stderr.decode())

    def check(self, argv: Sequence[str]) -> Result:
        result = self.run(argv)
        assert result.ok, result
        return result


@pytest.fixture
def here(tmp_path: Path) -> Host:
    home = tmp_path / "a home"
    home.mkdir(mode=0o755)
    return cast(Host, Here(home))


def home(host: Host) -> Path:
    return cast(Here, host).home


@pytest.mark.parametrize("content", OTHERS)
def test_a_file_is_the_same_to_the_byte_once_our_lines_are_gone(content: bytes) -> None:
    lines = [f"{KEY} {mark('hpc', 'me@a')}", f"{KEY} {mark('hpc', 'me@b')}:file"]
    assert remove_marked(add_lines(content, lines), mark("hpc")) == (
        content,
        ("slipway:hpc:me@a", "slipway:hpc:me@b:file"),
    )
    # Those of another site stay, also where its name begins alike.
    theirs = add_lines(content, [f"{KEY} {mark('hpc2', 'me')}"])
    assert remove_marked(theirs, mark("hpc")) == (theirs, ())


def test_a_mark_is_one_word() -> None:
    assert mark("my site:x", "a b@c\n") == "slipway:my_site_x:a_b@c_"


def test_a_key_is_let_in_by_a_line_that_has_it_and_no_comment() -> None:
    blob = KEY.split()[1]
    assert has_key(f'command="x" {KEY} me\n'.encode(), blob)
    assert not has_key(f"# {KEY} me\n".encode(), blob)
    assert not has_key(f"{KEY}x\n".encode(), blob)


@pytest.mark.parametrize("content", OTHERS)
def test_a_file_is_written_as_a_whole_with_its_mode(here: Host, content: bytes) -> None:
    folder = home(here) / ".ssh"
    folder.mkdir(mode=0o711)
    file = folder / "authorized_keys"
    (folder / "real").write_bytes(content)
    (folder / "real").chmod(0o640)
    file.symlink_to("real")
    before = there.read(here, there.AUTHORIZED)
    assert (before.data, before.has_file, before.has_folder) == (content, True, True)
    there.write(here, before, add_lines(content, [KEY]))
    assert file.read_bytes() == KEY.encode() + b"\n" + content
    assert (folder / "real").stat().st_mode & 0o777 == 0o640
    assert file.is_symlink()
    assert folder.stat().st_mode & 0o777 == 0o711
    assert sorted(one.name for one in folder.iterdir()) == ["authorized_keys", "real"]


def test_a_file_that_is_not_there_is_for_its_owner_alone(here: Host) -> None:
    before = there.read(here, there.AUTHORIZED)
    assert (before.data, before.has_file, before.has_folder) == (b"", False, False)
    there.write(here, before, b"x\n")
    file = home(here) / there.AUTHORIZED
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    file.write_bytes(b"")
    there.remove_empty(here, there.AUTHORIZED, folder=True)
    assert not file.parent.exists()


def test_what_is_not_empty_is_not_removed(here: Host) -> None:
    file = home(here) / there.AUTHORIZED
    file.parent.mkdir()
    file.write_text("x")
    there.remove_empty(here, there.AUTHORIZED, folder=True)
    assert file.read_text() == "x"


def test_a_file_that_changes_meanwhile_is_left_as_it_is(here: Host) -> None:
    file = home(here) / there.AUTHORIZED
    file.parent.mkdir()
    file.write_text("a\n")
    before = there.read(here, there.AUTHORIZED)
    file.write_text("b\n")
    with pytest.raises(RemoteError, match="changed by somebody else"):
        there.write(here, before, b"c\n")
    assert file.read_text() == "b\n"


def test_what_sshd_would_refuse_is_named_with_what_mends_it(here: Host) -> None:
    file = home(here) / there.AUTHORIZED
    file.parent.mkdir(mode=0o700)
    file.touch(mode=0o600)
    assert there.mode_problems(there.look(here)) == []
    home(here).chmod(0o775)
    file.chmod(0o606)
    problems = there.mode_problems(there.look(here))
    assert len(problems) == 2
    for problem in problems:
        command = problem.split("`")[1]
        subprocess.run(command, shell=True, check=True, timeout=PATIENCE_S)  # noqa: S602
    assert there.mode_problems(there.look(here)) == []


def test_a_folder_of_somebody_else_is_named() -> None:
    shown = "home /home/me\nuid 1000\nfile . drwxr-xr-x 3 1001 1000 10 Jan 1 00:00 .\n"
    (problem,) = there.mode_problems(there.parse_home(shown))
    assert problem.startswith("/home/me belongs to user 1001")


def test_a_key_is_made_once_and_removed_by_its_mark(here: Host) -> None:
    public = there.find_or_make_key(here, mark("hpc", "me@a"))
    file = home(here) / ".ssh" / "id_ed25519"
    assert file.stat().st_mode & 0o777 == 0o600
    assert there.find_or_make_key(here, mark("hpc", "me@a")) == public
    assert there.remove_key(here, mark("other")) is None
    assert there.remove_key(here, mark("hpc")) == str(file)
    assert [*file.parent.iterdir()] == []


def test_a_key_with_a_passphrase_is_no_use_and_not_replaced(here: Host) -> None:
    file = home(here) / ".ssh" / "id_ed25519"
    file.parent.mkdir()
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "words", "-f", file], check=True, timeout=PATIENCE_S
    )
    before = file.read_bytes()
    with pytest.raises(RemoteError, match="passphrase"):
        there.find_or_make_key(here, mark("hpc", "me"))
    assert file.read_bytes() == before


def target(folder: Path) -> Target:
    return Target(
        host="gate",
        port=22,
        user="me",
        key_name="gate",
        identity_agent="none",
        identity_files=(str(folder / "id"),),
        known_hosts=(str(folder / "known_hosts"),),
    )


def test_a_key_of_this_machine_is_one_that_the_login_finds(tmp_path: Path) -> None:
    to = target(tmp_path)
    assert own_keys(to, NoPrompt()) == ([], own_keys(to, NoPrompt())[1])
    place, public = make_own_key(to, mark("hpc", "here"), NoPrompt())
    assert (place, place.stat().st_mode & 0o777) == (tmp_path / "id", 0o600)
    assert own_keys(to, NoPrompt())[0] == [public]
    assert made_keys(to, mark("hpc")) == [place]
    assert made_keys(to, mark("other")) == []
    with pytest.raises(HostError, match="is there"):
        make_own_key(to, mark("hpc", "here"), NoPrompt())
    remove_own_key(place)
    assert [*tmp_path.iterdir()] == []


def test_known_hosts_here_lose_what_was_added_and_nothing_else(tmp_path: Path) -> None:
    to, file = target(tmp_path), tmp_path / "known_hosts"
    file.write_bytes(b"# mine\nother ssh-rsa AAAA\n")
    file.chmod(0o640)
    add_known(to, HostKey(kind="ssh-ed25519", blob=b"blob"), mark("hpc", "known"))
    assert file.read_text().endswith("gate ssh-ed25519 YmxvYg== slipway:hpc:known\n")
    assert remove_known_lines(to, mark("hpc")) == [file]
    assert file.read_bytes() == b"# mine\nother ssh-rsa AAAA\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert remove_known_lines(to, mark("hpc")) == []


def test_a_host_is_found_among_known_hosts() -> None:
    key = HostKey(kind="ssh-ed25519", blob=b"blob")
    text = f"{known_line('[gate]:2222', key, 'a comment')}\n@revoked {known_line('gate', key)}\n"
    assert list_keys(text, "[gate]:2222") == [("", key)]
    assert list_keys(text, "gate") == [("@revoked", key)]


def test_another_host_is_tried_without_asking_anybody() -> None:
    assert there.try_command("me", "node1", 2222) == [
        *("ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=20"),
        *("-o", "UpdateHostKeys=no", "-n", "-p", "2222", "--", "me@node1", "true"),
    ]
