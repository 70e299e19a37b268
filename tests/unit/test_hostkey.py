import base64
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import HostKeyChangedError, SshError
from slipway.ssh.hostkey import (
    HostKey,
    add_known,
    check_host_key,
    find_known,
    host_key_error,
    known_kinds,
    remove_known,
)
from slipway.ssh.target import Target

# A real key, and what `ssh-keygen -l` says of it.
LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
FINGERPRINT = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
KEY = HostKey(kind="ssh-ed25519", blob=base64.b64decode(LINE.split()[1]))
OTHER = HostKey(kind="ssh-ed25519", blob=b"other")
# `ssh-keygen -H` made this of `[login.example.org]:2222`.
NAME = "[login.example.org]:2222"


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(
        host="login.example.org",
        port=2222,
        user="me",
        key_name=NAME,
        known_hosts=(str(tmp_path / "ssh" / "known"), str(tmp_path / "known2")),
        global_known_hosts=(str(tmp_path / "global"),),
    )


def line(names: str, key: HostKey) -> str:
    return f"{names} {key.kind} {base64.b64encode(key.blob).decode()}\n"


def test_fingerprints_are_openssh_s() -> None:
    assert KEY.fingerprint == FINGERPRINT
    assert str(KEY) == f"ED25519 {FINGERPRINT}"
    assert str(HostKey(kind="ecdsa-sha2-nistp256", blob=b"")).startswith("ECDSA P-256 SHA256:")


@pytest.mark.parametrize(
    ("names", "state"),
    [
        (NAME, "known"),
        ("other,[login.example.org]:2222", "known"),
        ("[*.example.org]:2222", "known"),
        ("login.example.org", "known"),  # under its name without a port, like OpenSSH
        ("[login.example.org]:22", "unknown"),
        ("[login.example.org]:*,![login.*]:2222", "unknown"),
        ("*.example.com", "unknown"),
        (f"# {NAME}", "unknown"),
        (f"@cert-authority {NAME}", "unknown"),
        (f"@revoked {NAME}", "revoked"),
    ],
)
def test_names(target: Target, tmp_path: Path, names: str, state: str) -> None:
    (tmp_path / "known2").write_text(f"broken\n\n{NAME} ssh-ed25519 ???\n" + line(names, KEY))
    assert check_host_key(target, KEY).state == state


def test_another_key_is_a_change_and_both_are_shown(target: Target, tmp_path: Path) -> None:
    (tmp_path / "global").write_text("\n" + line(NAME, OTHER))
    verdict = check_host_key(target, KEY)
    assert verdict.state == "changed"
    error = host_key_error(target, KEY, verdict)
    assert isinstance(error, HostKeyChangedError)
    assert f"\n  known: ED25519 {OTHER.fingerprint} ({tmp_path}/global:2)\n  shown: {KEY}\n" in str(error)
    # One of another kind, too: the kinds that are known are asked for first.
    rsa = replace(OTHER, kind="ssh-rsa")
    (tmp_path / "global").write_text(line(NAME, rsa))
    assert check_host_key(target, KEY).state == "changed"
    assert known_kinds(target) == ["rsa-sha2-512", "rsa-sha2-256"]
    # And one of several is enough.
    (tmp_path / "known2").write_text(line(NAME, KEY))
    assert check_host_key(target, KEY).state == "known"


@pytest.mark.parametrize("is_hashed", [False, True])
def test_a_new_key_is_added_for_its_owner_alone(target: Target, tmp_path: Path, is_hashed: bool) -> None:
    target = replace(target, hash_known_hosts=is_hashed)
    file = add_known(target, KEY)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert file.read_text().startswith("|1|") == is_hashed
    assert check_host_key(target, KEY).state == "known"
    file.write_text("# no end of line")
    add_known(target, KEY)
    assert file.read_text().startswith("# no end of line\n")
    assert check_host_key(target, KEY).state == "known"


def test_an_old_key_is_removed_and_its_file_kept(target: Target, tmp_path: Path) -> None:
    target = replace(target, known_hosts=(str(tmp_path / "link"),))
    (tmp_path / "file").write_text(line("a", OTHER) + line(f"b,{NAME}", OTHER) + line(NAME, KEY) + "# end")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    before = (tmp_path / "file").read_text()
    (copy,) = remove_known(target, find_known(target))
    assert copy.read_text() == before
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == line("a", OTHER) + line("b", OTHER) + "# end"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_what_is_about_more_hosts_is_left_alone(target: Target, tmp_path: Path) -> None:
    for file, why in {"known2": "is about more hosts", "global": "is not yours to change"}.items():
        text = line("*:2222" if file == "known2" else NAME, OTHER)
        (tmp_path / file).write_text(text)
        with pytest.raises(SshError, match=why):
            remove_known(target, [known for known in find_known(target) if known.file.name == file])
        assert (tmp_path / file).read_text() == text
    assert not list(tmp_path.glob("*.2*"))
