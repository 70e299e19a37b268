import io
import stat
import tarfile
from pathlib import Path

import pytest

from slipway.box.container import BoxStatus
from slipway.box.spec import (
    Box,
    ReadyFile,
    archive_for,
    container_config,
    make_keys,
    node_memory_mb,
    parse_ready,
    ssh_config_text,
)
from slipway.site import Login
from slipway.ssh.target import resolve_target

GIB = 1 << 30


def test_each_state_folder_has_a_box_of_its_own(tmp_path: Path) -> None:
    one, other = Box(state=tmp_path / "one"), Box(state=tmp_path / "other")
    assert one.name != other.name
    assert one.name == Box(state=tmp_path / "x" / ".." / "one").name
    assert one.name.startswith("slipway-box-")
    assert len(one.name) == len("slipway-box-") + 8


@pytest.mark.parametrize(("total_bytes", "memory_mb"), [(24 * GIB, 6144), (8 * GIB, 2048), (4 * GIB, 2000)])
def test_nodes_share_three_quarters_of_the_memory(total_bytes: int, memory_mb: int) -> None:
    assert node_memory_mb(total_bytes) == memory_mb


def test_the_container_is_not_privileged_and_listens_on_this_machine_only() -> None:
    box = Box(state=Path("/state"))
    assert container_config(box, "slipway-box:latest", 6000) == {
        "Image": "slipway-box:latest",
        "Hostname": "login",
        "Env": ["NODE_MEMORY_MB=6000"],
        "Labels": {"slipway.box": "/state"},
        "ExposedPorts": {"22/tcp": {}},
        "HostConfig": {
            "PortBindings": {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Init": True,
            "CapAdd": ["SYS_PTRACE"],
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "Devices": [
                {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
            ],
            "CgroupnsMode": "host",
            "Binds": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"],
            "ShmSize": 1073741824,
        },
    }


def test_the_ssh_config_pins_the_host_key() -> None:
    assert ssh_config_text(Path("/a b/box"), 40022) == (
        "# Written by `invoke box.up`, for `ssh -F` and this file's path.\n"
        "Host box\n"
        "    HostName 127.0.0.1\n"
        "    Port 40022\n"
        "    User researcher\n"
        '    IdentityFile "/a b/box/id_ed25519"\n'
        "    IdentitiesOnly yes\n"
        "    UserKnownHostsFile /a\\ b/box/known_hosts\n"
        "    HostKeyAlias slipway-box\n"
        "    StrictHostKeyChecking yes\n"
    )


def test_a_link_understands_the_ssh_config(tmp_path: Path) -> None:
    state = tmp_path / "a folder"
    folder = state / "box"
    folder.mkdir(parents=True)
    (folder / "ssh_config").write_text(ssh_config_text(folder, 40022))
    target = resolve_target(Login(host="box", ssh_config="box/ssh_config"), state)
    assert str(target) == "researcher@127.0.0.1:40022"
    assert target.key_name == "slipway-box"
    assert target.identity_files == (str(folder / "id_ed25519"),)
    assert target.identities_only
    assert target.known_hosts == (str(folder / "known_hosts"),)


def test_keys_are_new_and_for_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "box"
    make_keys(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    first = (folder / "id_ed25519").read_bytes()
    assert first.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    for name in ("id_ed25519", "host_ed25519"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    host_key = (folder / "host_ed25519.pub").read_text()
    assert host_key.startswith("ssh-ed25519 ")
    assert (folder / "known_hosts").read_text() == f"slipway-box {host_key}"
    make_keys(folder)
    assert (folder / "id_ed25519").read_bytes() != first


def test_the_box_gets_its_keys_with_their_owners(tmp_path: Path) -> None:
    make_keys(tmp_path / "box")
    with tarfile.open(fileobj=io.BytesIO(archive_for(tmp_path / "box"))) as archive:
        owners = {member.name: (member.uid, member.mode) for member in archive.getmembers()}
    assert owners == {
        "etc/ssh/ssh_host_ed25519_key": (0, 0o600),
        "home/researcher/.ssh/authorized_keys": (1000, 0o600),
        "run/box/status": (0, 0o600),
    }


def packed(text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("status")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_the_box_s_report_is_understood() -> None:
    good = "ready=no\nmemory_limits=cgroup/v2\ncontainers=yes\nready=yes\n"
    assert parse_ready(packed(good)) == ReadyFile(is_ready=True, memory_limits="cgroup/v2")
    assert not parse_ready(packed("ready=no\nmemory_limits=cgroup/v2\n")).is_ready
    assert not parse_ready(packed("")).is_ready


def test_what_does_not_work_is_noted_with_its_reason() -> None:
    bad = "memory_limits=none\nmemory_reason=a=b\ncontainers=no\ncontainers_reason=not permitted\nready=yes\n"
    report = parse_ready(packed(bad))
    assert report.is_ready
    assert report.memory_limits is None
    assert report.notes[0] == "SLURM does not enforce memory limits in this box: a=b."
    assert report.notes[1].startswith("Apptainer cannot run in this box: not permitted. On Ubuntu")


def test_the_user_is_told_how_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    box = Box(state=tmp_path / ".slipway")
    status = BoxStatus(box=box, port=1, node_memory_mb=2000, memory_limits=None, notes=("Beware.",))
    assert status.lines() == [
        "The box was up already: 3 nodes, each with 2 cores, 2000 MB, 2 mock GPUs.",
        "Log in with `ssh -F .slipway/box/ssh_config box`.",
        "Beware.",
    ]
