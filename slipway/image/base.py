"""The base image: pulled where that is possible, else made from Debian packages.

A network without a container registry often has a Debian mirror. What is made here is close enough to the
official ``debian:<suite>-slim`` that a Dockerfile builds unchanged on either: the same packages, the same
settings of apt and dpkg. Only its sources are in apt's older form, a ``sources.list``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import HostError, ImageError
from slipway.progress import Progress
from slipway.shell import LocalShell

if TYPE_CHECKING:
    from docker import DockerClient

# Under this name on Debian 11 to 13 and on Ubuntu (there: package debian-archive-keyring).
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
TIMEOUT_S = 1800
_REF = re.compile(r"debian:([a-z]+?)(?:-slim)?\Z")
_ROLLING = ("sid", "unstable")
# The engine's name of a processor and Debian's, where they differ.
_ARCHITECTURES = {"386": "i386", "arm": "armhf", "ppc64le": "ppc64el"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What the official image leaves out.
_DPKG = """\
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/groff/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/linda/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
"""
# Packages are removed after they are installed, and no translations are fetched, as in the official image.
# Where nothing can be pulled, Debian is often seen through a mirror that lags. Its signatures count all the
# same, only their age does not.
_APT = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/*.bin || true"; };
APT::AutoRemove::SuggestsImportant "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::GzipIndexes "true";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
"""
# Nothing starts services while an image is built.
_POLICY = "#!/bin/sh\nexit 101\n"


def ensure_base(
    client: DockerClient, ref: str, mirror: str | None, progress: Progress, *, fresh: bool = False
) -> bool:
    """Have the base image in the engine: it is there, or can be pulled, or is made.

    Args:
        client: the engine.
        ref: the image, such as ``debian:trixie-slim``.
        mirror: where Debian packages come from, as a URL; Debian's own place without it.
        progress: is told each step.
        fresh: pull or make it even where it is there.

    Returns:
        True where it was made from packages now.

    Raises:
        HostError: it has to be made, and this machine cannot.
        ImageError: it can neither be pulled nor made.
    """
    if has_base(client, ref) and not fresh:
        return False
    progress.step(f"Pulling {ref}")
    problem = _pull(client, ref)
    if problem is None:
        return False
    if parse_suite(ref) is None:
        raise ImageError(
            f"{ref} cannot be pulled: {problem}\n  Only debian:SUITE and debian:SUITE-slim can be made here "
            f"instead; `docker pull {ref}` and `docker save {ref}` where there is a registry, and "
            "`docker load` here"
        )
    make_base(client, ref, mirror, progress)
    return True


def has_base(client: DockerClient, ref: str) -> bool:
    """True where the engine has the image."""
    import docker.errors

    try:
        client.images.get(ref)
    except docker.errors.ImageNotFound:
        return False
    return True


def make_base(client: DockerClient, ref: str, mirror: str | None, progress: Progress) -> None:
    """Make ``debian:SUITE`` or ``debian:SUITE-slim`` from packages; a minute at most on most lines.

    Raises:
        HostError: mmdebstrap is missing, or may not unpack a system as this user.
        ImageError: it failed, or ``ref`` names something else.
    """
    suite = parse_suite(ref)
    if suite is None:
        raise ImageError(f"{ref} cannot be made from Debian packages; debian:SUITE-slim can, such as trixie")
    _check_host(ref)
    # A whole file, and no pipe into the engine: of a pipe that breaks it would keep half an image.
    with tempfile.TemporaryDirectory(prefix="slipway-base-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # mmdebstrap unpacks as another user where it does not run as root
        archive = folder / "root.tar"
        argv = bootstrap_command(suite, _architecture(client), archive, mirror)
        progress.step(f"Making {ref} from Debian packages")
        result = LocalShell(env={**os.environ, "TMPDIR": name}).run(argv, timeout_s=TIMEOUT_S)
        if not result.ok:
            place = mirror or "Debian's own mirror"
            raise ImageError(f"{ref} could not be made from the packages of {place}:\n  {result.explain()}")
        progress.step(f"Importing {ref} ({archive.stat().st_size / 1e6:.0f} MB)")
        _import(client, ref, archive)


def parse_suite(ref: str) -> str | None:
    """Debian's name of the release that an image holds, or ``None`` for any other image."""
    match = _REF.match(ref)
    return match[1] if match and match[1] != "latest" else None


def source_lines(suite: str, mirror: str) -> list[str]:
    """The lines of ``sources.list`` for a mirror, which seldom carries the security archive."""
    suites = [suite] if suite in _ROLLING else [suite, f"{suite}-updates"]
    return [f"deb {mirror} {one} main" for one in suites]


def bootstrap_command(suite: str, architecture: str, archive: Path, mirror: str | None) -> list[str]:
    """The argv that writes a Debian system to ``archive``, a tar file.

    Args:
        suite: Debian's name of the release.
        architecture: Debian's name of the processor.
        archive: the tar file to write.
        mirror: where packages come from. Without one mmdebstrap takes Debian's own place, with its updates
            and security archive. The image's ``sources.list`` says the same.
    """
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--format=tar",
        f"--architectures={architecture}",
        # It would remove the image's own at the end.
        "--skip=chroot/policy-rc.d",
        # For the bootstrap itself; afterwards the files that are written below say it.
        *(f"--aptopt={line}" for line in ('Acquire::Languages "none"', 'Acquire::Check-Valid-Until "false"')),
        *(f"--dpkgopt={line}" for line in _DPKG.splitlines()),
        _hook('rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"'),
        # 80 MB that apt's own `clean` does not know of once these settings hold.
        _hook('rm -f "$1/var/cache/apt/"*.bin'),
        _write("/etc/apt/apt.conf.d/docker", _APT),
        _write("/etc/dpkg/dpkg.cfg.d/docker", _DPKG),
        _write("/usr/sbin/policy-rc.d", _POLICY),
        _hook('chmod 755 "$1/usr/sbin/policy-rc.d"'),
        # These came from this machine.
        _hook('rm -f "$1/etc/hostname" "$1/etc/resolv.conf"'),
        suite,
        str(archive),
        *(source_lines(suite, mirror) if mirror else ()),
    ]


def _hook(line: str) -> str:
    return f"--customize-hook={line}"


def _write(path: str, text: str) -> str:
    # A hook gets the new system's folder as $1.
    return _hook(f'printf %s {shlex.quote(text)} >"$1{path}"')


def _pull(client: DockerClient, ref: str) -> str | None:
    import requests

    name, _, tag = ref.rpartition(":")
    try:
        client.images.pull(name or ref, tag=tag if name else "latest")
    except requests.RequestException as error:  # docker-py's APIError is one; so is no answer in time
        return str(getattr(error, "explanation", None) or error)
    return None


def _check_host(ref: str) -> None:
    elsewhere = (
        f"or `docker pull {ref}` and `docker save {ref}` on a machine with a registry, and `docker load` here"
    )
    if shutil.which("mmdebstrap") is None:
        raise HostError(
            f"mmdebstrap, which makes {ref} from Debian packages, is not installed. Debian, Ubuntu: "
            f"`sudo apt install mmdebstrap debian-archive-keyring`; {elsewhere}"
        )
    if not Path(KEYRING).exists():
        raise HostError(
            f"{KEYRING}, which Debian packages are checked with, does not exist. Debian, Ubuntu: "
            f"`sudo apt install debian-archive-keyring`; {elsewhere}"
        )
    if os.geteuid() != 0 and (problem := _namespace_problem()):
        raise HostError(f"{ref} cannot be made as this user: {problem}. Run this step as root, {elsewhere}")


def _namespace_problem() -> str | None:
    switches = {
        "/proc/sys/kernel/unprivileged_userns_clone": "0",
        "/proc/sys/user/max_user_namespaces": "0",
    }
    for file, off in switches.items():
        if Path(file).exists() and Path(file).read_text().strip() == off:
            return f"this machine allows users no namespaces ({file} is {off})"
    if shutil.which("newuidmap") is None:
        return "newuidmap is not installed (Debian, Ubuntu: `sudo apt install uidmap`)"
    return None


def _architecture(client: DockerClient) -> str:
    # The engine labels what it imports with its own processor, so that is the one to make.
    arch = str(client.version()["Arch"])
    return _ARCHITECTURES.get(arch, arch)


def _import(client: DockerClient, ref: str, archive: Path) -> None:
    import docker.errors

    repository, _, tag = ref.rpartition(":")
    api: Any = client.api
    try:
        api.import_image_from_file(
            str(archive), repository, tag, changes=['CMD ["bash"]', f"ENV PATH={_PATH}"]
        )
    except docker.errors.APIError as error:
        raise ImageError(f"{ref} could not be imported: {error.explanation or error}") from error
    if not has_base(client, ref):
        raise ImageError(f"{ref} could not be imported; is there room on the engine's disk?")
