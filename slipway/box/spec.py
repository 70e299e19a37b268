"""What the box is made of on this side: names, options, keys, ssh_config. Nothing here needs the engine."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.errors import ParseError

HOST_ALIAS = "box"
# Its port changes at every start; under this name its host key is known all the same.
HOST_KEY_ALIAS = "slipway-box"
USER = "researcher"
READY_FILE = "/run/box/status"
NODES = 3
# What the nodes may take together; the rest is for this machine and the cluster's own programs.
MEMORY_SHARE = 0.75
LEAST_NODE_MB = 2000
_UID = 1000  # in cluster/box/Dockerfile


@dataclass(frozen=True, kw_only=True)
class Box:
    """The names of the one box that belongs to a state folder."""

    state: Path

    @property
    def name(self) -> str:
        """The container's name; two checkouts on one machine have different ones."""
        return f"slipway-box-{hashlib.sha256(os.fsencode(self.state.resolve())).hexdigest()[:8]}"

    @property
    def folder(self) -> Path:
        """Keys, known_hosts and ssh_config."""
        return self.state.resolve() / "box"

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F``, and for a site's ``login.ssh_config``."""
        return self.folder / "ssh_config"

    @property
    def has_keys(self) -> bool:
        """True where a box that was made earlier can still be logged in to."""
        return (self.folder / "id_ed25519").is_file() and (self.folder / "host_ed25519").is_file()


@dataclass(frozen=True, kw_only=True)
class ReadyFile:
    """What the box says of itself: whether it is ready, what enforces memory limits, what does not work."""

    is_ready: bool = False
    memory_limits: str | None = None
    notes: tuple[str, ...] = field(default=())


def node_memory_mb(total_bytes: int) -> int:
    """What one of the nodes offers on a machine with this much memory."""
    return max(LEAST_NODE_MB, int(total_bytes * MEMORY_SHARE / NODES) >> 20)


def container_config(box: Box, image: str, memory_mb: int) -> dict[str, Any]:
    """What the box's container is created with, in the words of the engine's own API.

    No option makes it privileged. Apptainer in it needs /dev/fuse and, for user namespaces with mounts of
    their own, a container without seccomp, AppArmor and masked paths. SLURM needs to look into processes
    (PTRACE), and to write to the cgroups that its memory limits are made of.
    """
    fuse = {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
    return {
        "Image": image,
        "Hostname": "login",
        "Env": [f"NODE_MEMORY_MB={memory_mb}"],
        "Labels": {"slipway.box": str(box.state.resolve())},
        "ExposedPorts": {"22/tcp": {}},
        "HostConfig": {
            # Nobody else's machine gets in; the engine chooses the port.
            "PortBindings": {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Init": True,
            "CapAdd": ["SYS_PTRACE"],
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "Devices": [fuse],
            "CgroupnsMode": "host",
            "Binds": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"],
            "ShmSize": 1 << 30,
        },
    }


def make_keys(folder: Path) -> None:
    """Make a new folder with the user's key, the box's host key and the known_hosts that pins it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    _make_key(folder / "id_ed25519")
    _make_key(folder / "host_ed25519")
    host_key = (folder / "host_ed25519.pub").read_text(encoding="utf-8")
    (folder / "known_hosts").write_text(f"{HOST_KEY_ALIAS} {host_key}", encoding="utf-8")


def ssh_config_text(folder: Path, port: int) -> str:
    """The ``ssh_config`` that leads to the box and takes no other host for it."""
    # OpenSSH and paramiko understand the same of a path with spaces only like this: IdentityFile in quotes,
    # and UserKnownHostsFile, which is a list, with backslashes.
    lines = {
        "HostName": "127.0.0.1",
        "Port": str(port),
        "User": USER,
        "IdentityFile": f'"{folder / "id_ed25519"}"',
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(folder / "known_hosts").replace(" ", "\\ "),
        "HostKeyAlias": HOST_KEY_ALIAS,
        "StrictHostKeyChecking": "yes",
    }
    body = "".join(f"    {key} {value}\n" for key, value in lines.items())
    return f"# Written by `invoke box.up`, for `ssh -F` and this file's path.\nHost {HOST_ALIAS}\n{body}"


def archive_for(folder: Path) -> bytes:
    """The tar archive that is unpacked over the box's root before it starts."""
    files = {
        "etc/ssh/ssh_host_ed25519_key": ((folder / "host_ed25519").read_bytes(), 0),
        f"home/{USER}/.ssh/authorized_keys": ((folder / "id_ed25519.pub").read_bytes(), _UID),
        # In the place of what an earlier start wrote.
        READY_FILE.lstrip("/"): (b"ready=no\n", 0),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (content, uid) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid, member.gid = len(content), 0o600, uid, uid
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def parse_ready(archive: bytes) -> ReadyFile:
    """Read the box's own report, a file of KEY=VALUE lines, from the archive that the engine makes of it.

    Raises:
        ParseError: it is no archive, or none of a file.
    """
    try:
        # Without a compression, which could hold any amount.
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            file = tar.extractfile(tar.getmembers()[0])
            text = file.read().decode("utf-8", errors="replace") if file else ""
    except (tarfile.TarError, ValueError, OverflowError, LookupError, EOFError, OSError) as error:
        raise ParseError(f"the box's report {READY_FILE} cannot be read: {error}") from error
    # The last line of a key counts: the box starts with ready=no.
    values = {key: value for key, _, value in (line.partition("=") for line in text.splitlines())}
    limits = values.get("memory_limits", "none")
    return ReadyFile(
        is_ready=values.get("ready") == "yes",
        memory_limits=None if limits == "none" else limits,
        notes=tuple(_notes(values)),
    )


def _notes(values: dict[str, str]) -> list[str]:
    notes = []
    if values.get("memory_limits", "none") == "none":
        reason = values.get("memory_reason", "it does not say why")
        notes.append(f"SLURM does not enforce memory limits in this box: {reason}.")
    if values.get("containers") == "no":
        reason = values.get("containers_reason", "it does not say why")
        notes.append(
            f"Apptainer cannot run in this box: {reason}. On Ubuntu 23.10 and later `sudo sysctl "
            "kernel.apparmor_restrict_unprivileged_userns=0` allows it; elsewhere look at "
            "`sysctl user.max_user_namespaces`."
        )
    return notes


def _make_key(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
    path.with_suffix(".pub").write_bytes(public + b"\n")
