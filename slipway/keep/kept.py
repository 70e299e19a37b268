"""What is kept in the home folder on a cluster, and how it is copied there and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.dataset.packing import SUFFIX, dataset_of
from slipway.errors import DataError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.run import Run
from slipway.keep.copy import Copied, Copy, make_copy
from slipway.progress import Progress

_DATASET = re.compile(r"[^./\x00-\x1f][^/\x00-\x1f]*")
# An image by its own name or by that of the link to the newest of it; what lies beside it comes, too.
_FIND_IMAGE = r"""
cd -- "$1/images" 2>/dev/null || exit 3
for name in "$2" "$2.sif"; do
    case $name in *.sif) file=$(readlink -e -- "$name") && printf %s "${file##*/}" && exit ;; esac
done
exit 3
"""


def sums_file(kept: PurePosixPath, label: str) -> PurePosixPath:
    """The list of hashes of something that is kept, such as ``runs-ID``; it is there once all of it is."""
    return kept / ".sha256" / label


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """Copies between scratch and the home folder of one cluster.

    Attributes:
        host: the connection.
        scratch: Slipway's folder in scratch.
        kept: Slipway's folder in the home folder.
        script: the text of ``cluster/keep.sh``.
        client: what sets this checkout apart from others that copy at the same time.
        progress: is told each step.
    """

    host: Host
    scratch: Scratch
    kept: PurePosixPath
    script: str
    client: str
    progress: Progress

    def run(self, run: Run, *, back: bool = False) -> Copied:
        """Copy a run's folder, and the code that it ran, where that is still there.

        Raises:
            DataError: it is not there, not whole, or damaged.
        """
        source = self._ends(back=back)[0]
        code = f"code/{run.code}"
        names = [f"runs/{run.run_id}"] + ([code] if self.host.is_folder(source / code) else [])
        return self._copy(f"runs-{run.run_id}", names, back=back)

    def dataset(self, name: str, *, back: bool = False) -> tuple[PurePosixPath, Copied]:
        """Copy a dataset, with the manifest beside it, or the newest file that it is packed in; says which.

        Raises:
            DataError: it is not there, not whole, or damaged.
        """
        if not _DATASET.fullmatch(name):
            raise DataError(f"{name!r} is no name of a dataset")
        packed = self._packed(name, back=back)
        if packed is not None:
            return packed, self._file(packed, back=back)
        copied = self._copy(f"data-{name}", [f"data/{name}"], back=back, manifest=f"data/.{name}.sha256")
        return PurePosixPath("data", name), copied

    def image(self, name: str, *, back: bool = False) -> tuple[str, Copied]:
        """Copy an image: by its file's name, or the newest of a name; says which file it was.

        Raises:
            DataError: it is not there, not whole, or damaged.
        """
        source = self._ends(back=back)[0]
        found = self.host.run(["sh", "-c", _FIND_IMAGE, "slipway", str(source), name])
        if not found.ok:
            raise DataError(f"{self.host.target}:{source / 'images'} has no image {name}")
        return found.stdout, self._file(PurePosixPath("images", found.stdout), back=back)

    def _packed(self, name: str, *, back: bool) -> PurePosixPath | None:
        """The newest packed file of a dataset; ``None`` where jobs see a folder."""
        source, target = self._ends(back=back)
        found = self.host.run(["readlink", "--", str(source / "packed" / f"{name}{SUFFIX}")])
        file = found.stdout.strip()
        if dataset_of(file) != name:
            # What was kept packed once is not what is kept now.
            if not back:
                self.host.run(["rm", "-f", "--", str(target / "packed" / f"{name}{SUFFIX}")])
            return None
        return PurePosixPath("packed", file)

    def _file(self, file: PurePosixPath, *, back: bool) -> Copied:
        """Copy a file that is named by what is in it, and what lies beside it; a link leads to the newest."""
        source, target = self._ends(back=back)
        beside = file.with_suffix(".json")
        names = [str(file)] + ([str(beside)] if self.host.size(source / beside) is not None else [])
        copied = self._copy(f"{file.parent.name}-{file.name}", names, back=back)
        link = target / file.parent / f"{re.sub(r'-[0-9a-f]{16}$', '', file.stem)}{file.suffix}"
        # In scratch there may be a newer one since.
        if link.name != file.name and not (back and self.host.size(link) is not None):
            self.host.point(link, file.name)
        return copied

    def _ends(self, *, back: bool) -> tuple[PurePosixPath, PurePosixPath]:
        return (self.kept, self.scratch.root) if back else (self.scratch.root, self.kept)

    def _copy(self, label: str, names: list[str], *, back: bool, manifest: str = "") -> Copied:
        source, target = self._ends(back=back)
        copy = Copy(
            source=source,
            target=target,
            part=target / ".part" / f"{label}.{self.client}",
            sums=sums_file(self.kept, label),
            names=names,
            manifest=manifest,
        )
        return make_copy(self.host, self.script, copy, self.progress)
