"""One squashfs file of a dataset, made here: by this machine's mksquashfs, else in the tools container."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.dataset.manifest import Manifest
from slipway.errors import DataError, EngineError, HostError, SpaceError
from slipway.image.engine import Image, container_user, engine, run_configured
from slipway.jsontext import load_json
from slipway.progress import Amount, Progress
from slipway.shell import LocalShell
from slipway.text.wording import counted
from slipway.workspace import abandoned, check_space, workspace

if TYPE_CHECKING:
    from slipway.image.recipe import Recipe

SUFFIX = ".sqsh"
# Says what the name of a packed file is the hash of; another layout of the file needs another one.
_FORMAT = "slipway packed dataset 1"
_FILE = re.compile(rf"(.+)-[0-9a-f]{{16}}{re.escape(SUFFIX)}")
# The first that reads a tar archive as Slipway writes one.
_LEAST_VERSION = (4, 5)
_VERSION = re.compile(r"mksquashfs version ([0-9]{1,18})\.([0-9]{1,18})")
_PACKED = re.compile(r"@packed ([0-9]{1,18}) ([0-9]{1,18})")
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.I)


@dataclass(frozen=True, kw_only=True)
class PackedFile:
    """A dataset as one file here.

    Attributes:
        path: the file; its name says what is in it.
        sha256: of the file, in hex.
        size_bytes: of the file.
    """

    path: Path
    sha256: str
    size_bytes: int


def content_hash(here: Manifest) -> str:
    """The hash of all that a dataset holds: kinds, names, contents, and which files may be run.

    Times, owners and the order in which a disk has them are no part of it.
    """
    digest = hashlib.sha256(f"{_FORMAT}\0".encode())
    for words in _entries(here):
        digest.update("".join(f"{word}\0" for word in words).encode(errors="surrogateescape"))
    return digest.hexdigest()


def packed_name(name: str, content: str) -> str:
    """What the file of a dataset is called, here and there."""
    return f"{name}-{content[:16]}{SUFFIX}"


def dataset_of(file_name: str) -> str | None:
    """The name of the dataset that a packed file is a version of; ``None`` for another file."""
    match = _FILE.fullmatch(file_name)
    return match[1] if match else None


def check_packed_name(name: str) -> None:
    """Refuse a name that would be taken for that of a version of another dataset.

    Raises:
        DataError: it is one.
    """
    if dataset_of(f"{name}{SUFFIX}"):
        raise DataError(
            f"--name {name}: with --pack a name may not end with `-` and 16 hexadecimal digits, which packed "
            "files end with; take another one"
        )


@dataclass(frozen=True, kw_only=True)
class Packer:
    """Makes packed files.

    Attributes:
        state: Slipway's own folder here; what was packed and not sent yet is kept in it.
        script: ``singularity/pack.py``.
        tools: the container that has mksquashfs; it is built where this machine has none that serves.
        progress: is told each step.
        compression: of the squashfs: ``zstd``, or ``gzip`` for clusters that cannot read zstd.
    """

    state: Path
    script: Path
    tools: Recipe
    progress: Progress
    compression: str = "zstd"

    def find(self, file_name: str) -> PackedFile | None:
        """What an earlier attempt has packed and not sent, or ``None``."""
        path = self._folder / file_name
        try:
            facts = load_json(path.with_suffix(".json").read_bytes())
            found = PackedFile(path=path, sha256=facts["sha256"], size_bytes=facts["size_bytes"])
            whole = path.stat().st_size == found.size_bytes and facts["compression"] == self.compression
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if whole and isinstance(found.sha256, str) else None

    def pack(self, here: Manifest, root: Path, file_name: str) -> tuple[PackedFile | None, Sequence[str]]:
        """Pack what is in a folder.

        Args:
            here: what it is.
            root: the folder.
            file_name: what the file is to be called.

        Returns:
            The file, and nothing else; or no file, and what has changed in the folder meanwhile.

        Raises:
            SpaceError: there is no room here for it.
            DataError: mksquashfs failed.
            EngineError: there is no mksquashfs here, and the engine runs no container.
        """
        total = sum(file.size_bytes for file in here.files.values())
        # Images hardly shrink.
        check_space(self._folder, total, f"packing {root}")
        self._sweep(dataset_of(file_name))
        with workspace(self.state / "tmp") as folder:
            listed = folder / "list"
            words = "".join(f"{word}\0" for entry in _entries(here) for word in entry)
            listed.write_bytes(words.encode(errors="surrogateescape"))
            self.progress.step(f"Packing {counted(len(here.files), 'file')} ({total / 1e6:,.1f} MB)")
            self._run(root, folder)
            facts = load_json((folder / "facts.json").read_bytes())
            if facts["changed"]:
                return None, facts["changed"]
            path = self._folder / file_name
            record = {key: facts[key] for key in ("sha256", "size_bytes")}
            (folder / "packed").replace(path)
            path.with_suffix(".json").write_text(
                json.dumps({**record, "compression": self.compression}), encoding="utf-8"
            )
        return PackedFile(path=path, **record), ()

    def forget(self, packed: PackedFile) -> None:
        """Remove what is on the cluster by now."""
        packed.path.unlink(missing_ok=True)
        packed.path.with_suffix(".json").unlink(missing_ok=True)

    @property
    def _folder(self) -> Path:
        return self.state / "packed"

    def _sweep(self, name: str | None) -> None:
        """Remove what was packed of a dataset earlier and never sent, and what killed attempts left."""
        for path in self._folder.iterdir():
            if dataset_of(path.with_suffix(SUFFIX).name) == name:
                path.unlink(missing_ok=True)
        for folder in abandoned(self.state / "tmp"):
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, root: Path, folder: Path) -> None:
        lines: list[str] = []
        listen = _listen(lines, self.progress)
        if has_mksquashfs():
            where = "on this machine"
            argv = _command(sys.executable, str(self.script), str(root), str(folder), self.compression)
            done = LocalShell().stream(argv, on_output=listen)
            listen(done.stderr)
            code = done.exit_code
        else:
            where = f"in {self.tools.name}"
            code = self._run_in_tools(root, folder, listen)
        listen("\n")
        if code or not (folder / "facts.json").is_file():
            said = "".join(f"\n  {line}" for line in lines[-12:]) or " and said nothing"
            message = f"mksquashfs {where} could not pack {root} (exit code {code}):{said}"
            if _NO_SPACE.search(said):
                raise SpaceError(f"{message}\nmake room, or set SLIPWAY_STATE to a folder on a larger disk")
            raise DataError(message)

    def _run_in_tools(self, root: Path, folder: Path, listen: Callable[[str], None]) -> int:
        import docker.errors
        import requests
        import urllib3

        from slipway.image.build import build_image

        try:
            client = engine()
            image, _ = build_image(client, self.tools, self.progress)
        except HostError as error:
            raise type(error)(
                f"{error}\n--pack needs mksquashfs 4.5 or newer (Debian: apt install squashfs-tools; macOS: "
                "brew install squashfs), or Docker"
            ) from error
        try:
            return run_configured(
                client, self._container(image, root, folder, container_user(client)), listen
            )
        except (docker.errors.APIError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise EngineError(
                f"the Docker engine did not bring {self.tools.name} to its end: "
                f"{getattr(error, 'explanation', None) or error}; is it still running?"
            ) from error

    def _container(self, image: Image, root: Path, folder: Path, owner: str | None) -> dict[str, Any]:
        """The container, in the words of the engine's own API; of the data it can only read."""
        from slipway.sif.conversion import LABEL

        command = _command("python3", "/pack.py", "/source", "/packed", self.compression)
        if owner:
            command += ["--owner", owner]
        mounts = [(self.script, "/pack.py", True), (root, "/source", True), (folder, "/packed", False)]
        return {
            "Image": image.id,
            "Entrypoint": command,
            "Labels": {LABEL: str(folder)},
            "HostConfig": {
                # Not Binds, which cannot take a path with a colon.
                "Mounts": [
                    {"Type": "bind", "Source": str(here), "Target": there, "ReadOnly": read_only}
                    for here, there, read_only in mounts
                ],
                "NetworkMode": "none",
                "SecurityOpt": ["label=disable"],
            },
        }


def has_mksquashfs() -> bool:
    """True where this machine has an mksquashfs that serves."""
    if not shutil.which("mksquashfs"):
        return False
    # Some end with 1 after that.
    match = _VERSION.search(LocalShell().run(["mksquashfs", "-version"]).stdout)
    return match is not None and (int(match[1]), int(match[2])) >= _LEAST_VERSION


def _entries(here: Manifest) -> Iterator[tuple[str, str, str, str]]:
    """All that is in a dataset as ``singularity/pack.py`` reads it, each folder before what is in it."""
    entries = [("d", name, "", "") for name in here.all_folders()]
    entries += [("l", name, "", target) for name, target in here.links.items()]
    entries += [
        ("x" if file.executable else "f", name, str(file.size_bytes), file.sha256)
        for name, file in here.files.items()
    ]
    return iter(sorted(entries, key=lambda entry: entry[1].encode(errors="surrogateescape")))


def _command(python: str, script: str, source: str, folder: str, compression: str) -> list[str]:
    """The argv that runs ``singularity/pack.py``."""
    paths = {"list": "list", "out": "packed", "facts": "facts.json"}
    options = [word for name, file in paths.items() for word in (f"--{name}", f"{folder}/{file}")]
    return [python, script, "--source", source, *options, "--compression", compression]


def _listen(lines: list[str], progress: Progress) -> Callable[[str], None]:
    began, rest = time.monotonic(), ""

    def listen(text: str) -> None:
        nonlocal rest
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            if match := _PACKED.fullmatch(line):
                done, total = int(match[1]), int(match[2])
                elapsed = time.monotonic() - began
                progress.transfer(
                    Amount(done_bytes=done, total_bytes=total, moved_bytes=done, elapsed_s=elapsed)
                )
            elif line.strip():
                lines.append(line.rstrip())

    return listen
