"""Images of sites whose jobs run where one logs in: the engine there has them before the first job does."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from slipway.errors import ImageError, RemoteError
from slipway.host.host import Host
from slipway.progress import Progress
from slipway.push.upload import PushedSif
from slipway.runtime.base import ARCHIVE, Image
from slipway.runtime.choose import find_runtime
from slipway.runtime.engine import NOT_THERE, admit_command, forget_command
from slipway.site import Site

# A large image is unpacked to a busy disk.
_LOAD_S = 3600


def admit(host: Host, site: Site, pushed: PushedSif, progress: Progress) -> None:
    """Have the engine there load an image that was sent, and keep it under a name of its own.

    Where jobs run elsewhere, the first on each node does that.

    Raises:
        ImageError: the engine there does not have the image that it was said to have.
        RemoteError: it does not take it.
    """
    if not _has_engine(site):
        return
    engine = site.container.command
    progress.step(f"Having {engine} at {site.name} take the image")
    command = admit_command(engine, Image(path=pushed.path, image_id=pushed.image_id))
    done = host.run_in_login_shell(command, timeout_s=_LOAD_S)
    if done.exit_code == NOT_THERE:
        raise ImageError(
            f"{host.target}: {engine} there does not have {pushed.image_id} (any more); "
            "`invoke build` makes it, where the engine that builds is the same one"
        )
    if not done.ok:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        again = f"{engine} load --input {shlex.quote(str(pushed.path))}"
        raise RemoteError(
            "\n  ".join(
                [f"{host.target}: {engine} does not take the image; `{again}` there says it again:", *said]
            )
        )


def forget(host: Host, site: Site, paths: Sequence[PurePosixPath]) -> None:
    """Have the engine there forget images whose files are gone; what a container uses stays."""
    if _has_engine(site) and paths:
        host.run_in_login_shell(forget_command(site.container.command, paths), timeout_s=_LOAD_S)


def _has_engine(site: Site) -> bool:
    return site.runs_where_it_logs_in and find_runtime(site.container.command).form == ARCHIVE
