"""Images on a cluster: sent, checked, and given a name that says what is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import ConnectionLostError, ImageError, ParseError, RemoteError, TransferOnlyError
from slipway.host.host import Host
from slipway.host.inventory import remove_all
from slipway.host.scratch import Scratch
from slipway.jsontext import load_json
from slipway.progress import Progress, Transfer, explain_stop
from slipway.runtime.base import FORMS, SIF, Form
from slipway.transfer.checksum import hash_remote
from slipway.transfer.delta import Delta, is_worth_it
from slipway.transfer.large_file import ChangedHereError, LargeFile, send_large_file
from slipway.transfer.source import Source, WholeFile

if TYPE_CHECKING:
    from slipway.project import Project
    from slipway.sif.kept import Sif

_RESUME = "What has arrived is kept there: the same command goes on where this one was"
_MAKE_ROOM = (
    "make room there: `invoke push --prune` removes older images that no job uses, and the site's own "
    "command (often `quota -s` or `lfs quota -h FOLDER`) says what you may use"
)
# The image that a link leads to, whether it was written to since, and what is written beside it.
_FIND = """
file=$(readlink -e -- "$1") && printf "%s\\0" "$file" || exit
record=$file.json
case $file in *.sif) record=${file%.sif}.json ;; esac
[ -e "$record" ] || exit
[ ! "$file" -nt "$record" ] || printf changed
printf "\\0"; cat -- "$record"
"""
# It got its name only after its content was checked, so its size is enough, and when it was written.
_IS_THERE = """
[ ! -L "$1" ] && [ "$(stat -c %s -- "$1" 2>/dev/null)" = "$2" ] && [ "$(cat -- "$3" 2>/dev/null)" = "$4" ] &&
    [ ! "$1" -nt "$3" ] && [ "$(readlink -- "$5")" = "$6" ] && [ ! -e "$7" ]
"""


class ChangedImageError(ImageError):
    """The image there is no longer what was pushed."""


@dataclass(frozen=True, kw_only=True)
class PushedSif:
    """An image's file on a cluster: its place, SHA-256, size in bytes and the Docker image that it came from.

    It is a ``.sif``, or what another container runtime takes: :class:`slipway.runtime.base.Form`.
    """

    path: PurePosixPath
    image_id: str
    sha256: str
    size_bytes: int


def push_sif(
    host: Host,
    scratch: Scratch,
    sif: Sif,
    client: str,
    progress: Progress,
    *,
    as_newest: bool = True,
    project: Project | None = None,
) -> tuple[PushedSif, Transfer | None]:
    """Send a ``.sif``, unless the same content is there, and point ``<name>.sif`` to it.

    It is uploaded to an upload folder that only this client uses for this name, is checked there by its
    hash, and only then given its own name, which says what is in it. So a job that waits or runs keeps the
    image that it was submitted with, and of two clients who send the same image each has a whole one.

    Args:
        host: the connection.
        scratch: where images lie.
        sif: the image. Nobody else of this client may push one of its name meanwhile.
        client: what sets this client apart from others who push to the same place.
        progress: is told what happens.
        as_newest: off for an older image that is brought back: ``<name>.sif`` stays as it is.
        project: where it was made, which knows what it and earlier ones have in common.

    Returns:
        The image there, and what was sent; ``None`` where it was there already.

    Raises:
        ConnectionLostError: what has arrived is made use of by the next push.
        RemoteSpaceError: there is no room for it; what has arrived is removed.
        ScratchError: nothing can be written there.
        RemoteError: what arrived is not what was sent, or a command failed.
        ImageError: the file is gone here.
    """
    path, upload_dir = scratch.images / sif.file_name, _upload_dir(scratch, sif, client)
    pushed = _pushed(scratch, sif)
    if as_newest and _is_all_there(host, there_command(scratch, sif, client)):
        return pushed, None
    transfer = None
    # It got its name only after its content was checked, so its size is enough, and when it was written.
    with explain_stop(_RESUME), _explained():
        if host.size(path) != sif.size_bytes or _has_changed(host, path, sif.sha256):
            source = _source(sif, project, progress)
            with source.hold(), _delta(host, scratch, sif, project) as delta:
                transfer = _send(host, scratch, sif, source, upload_dir, progress, delta)
        host.write(record_path(path), _record(pushed).encode())
        if as_newest:
            host.point(newest_image(scratch, sif.name, form_of(path)), path.name)
        if host.size(path) != sif.size_bytes:
            raise RemoteError(f"{host.target}:{path}: somebody has removed it just now; push again")
        if host.is_folder(upload_dir):
            remove_all(host, upload_dir)
    return pushed, transfer


def there_command(scratch: Scratch, sif: Sif, client: str) -> list[str]:
    """What a push asks first: whether all of it is there as it would leave it. It ends with 0 if so."""
    pushed = _pushed(scratch, sif)
    link = newest_image(scratch, sif.name, form_of(pushed.path))
    words = (
        str(pushed.path),
        str(pushed.size_bytes),
        str(record_path(pushed.path)),
        _record(pushed),
        str(link),
        pushed.path.name,
        str(_upload_dir(scratch, sif, client)),
    )
    return ["sh", "-c", _IS_THERE, "slipway", *words]


def _pushed(scratch: Scratch, sif: Sif) -> PushedSif:
    return PushedSif(
        path=scratch.images / sif.file_name,
        image_id=sif.image_id,
        sha256=sif.sha256,
        size_bytes=sif.size_bytes,
    )


def _upload_dir(scratch: Scratch, sif: Sif, client: str) -> PurePosixPath:
    return scratch.images / f".{sif.name}.{client}.part"


def _record(pushed: PushedSif) -> str:
    return json.dumps({**asdict(pushed), "path": str(pushed.path)})


def _is_all_there(host: Host, command: list[str]) -> bool:
    try:
        return host.run_in_login_shell(command).ok
    except TransferOnlyError:
        return False


def record_path(path: PurePosixPath) -> PurePosixPath:
    """What is written beside an image's file."""
    return path.with_suffix(".json") if path.suffix == ".sif" else path.with_name(f"{path.name}.json")


def form_of(path: PurePosixPath) -> Form:
    """The form that a file of an image has."""
    return next((form for form in FORMS if path.suffix in form.files), SIF)


def newest_image(scratch: Scratch, name: str, form: Form) -> PurePosixPath:
    """The link to the newest image of a name, in the form that a site's container runtime takes."""
    return scratch.images / f"{name}{form.link}"


def find_pushed(host: Host, scratch: Scratch, name: str, form: Form = SIF) -> PushedSif | None:
    """The newest image of a name on the cluster, or ``None`` where none was pushed.

    Raises:
        ChangedImageError: it is not what was pushed.
        ParseError: what is written beside it is something else.
    """
    words = host.run_in_login_shell(find_command(scratch, name, form)).stdout.split("\0", 2)
    if len(words) < 3:
        return None
    pushed = parse_record(words[2].encode("utf-8", "surrogateescape"), PurePosixPath(words[0]))
    if words[1]:
        _refuse_changed(host, pushed)
    return pushed


def _refuse_changed(host: Host, pushed: PushedSif) -> None:
    if _hash_there(host, pushed.path) != pushed.sha256:
        raise ChangedImageError(
            f"{host.target}:{pushed.path} is not what was pushed: its content has been changed since; "
            "`invoke push` sends it again"
        )
    # Somebody has given it a new time, so that no purge takes it. It is not hashed each time from now on.
    host.run(["touch", "-c", "--", str(record_path(pushed.path))])


def _has_changed(host: Host, path: PurePosixPath, sha256: str) -> bool:
    # What is written beside it is written last of all.
    return host.is_newer(path, record_path(path)) and _hash_there(host, path) != sha256


def _hash_there(host: Host, path: PurePosixPath) -> str | None:
    return hash_remote(host, path.parent, [path.name]).get(path.name)


def find_command(scratch: Scratch, name: str, form: Form = SIF) -> list[str]:
    """What :func:`find_pushed` asks."""
    return ["sh", "-c", _FIND, "slipway", str(newest_image(scratch, name, form))]


def parse_record(record: bytes, path: PurePosixPath) -> PushedSif:
    """What is written beside an image.

    Raises:
        ParseError: it is something else.
    """
    try:
        content = load_json(record)
        image_id, sha256, size_bytes = (content[key] for key in ("image_id", "sha256", "size_bytes"))
        if not (isinstance(image_id, str) and isinstance(sha256, str)) or type(size_bytes) is not int:
            raise TypeError("a value is of the wrong kind")
        return PushedSif(path=path, image_id=image_id, sha256=sha256, size_bytes=size_bytes)
    except (ValueError, KeyError, TypeError) as error:
        raise ParseError(
            f"{record_path(path)} on the cluster is no record of an image ({error}); push again"
        ) from error


def _source(sif: Sif, project: Project | None, progress: Progress) -> Source:
    if project is None:
        return WholeFile(sif.path)
    from slipway.sif.kept import source_of

    return source_of(project, sif, progress)


@contextmanager
def _delta(host: Host, scratch: Scratch, sif: Sif, project: Project | None) -> Iterator[Delta | None]:
    """How the image is made of the newest one there, where that is known, and worth it."""
    from slipway.sif.pieces import PieceStore
    from slipway.workspace import workspace

    store = PieceStore.of(project) if project else None
    old = None
    if store and store.find(sif.sha256):
        with suppress(ChangedImageError, ParseError, TransferOnlyError):
            old = find_pushed(host, scratch, sif.name)
    parts = store.parts(old.sha256, sif.sha256, sif.size_bytes) if store and old else []
    if project is None or old is None or not is_worth_it(parts):
        yield None
        return
    with workspace(project.state / "tmp") as folder:
        yield Delta(old=old.path, parts=parts, folder=folder)


def _send(
    host: Host,
    scratch: Scratch,
    sif: Sif,
    source: Source,
    upload_dir: PurePosixPath,
    progress: Progress,
    delta: Delta | None,
) -> Transfer:
    if not sif.file.is_file():
        # Of each name only the newest is kept here, and this push may have waited for another.
        raise ImageError(f"{sif.file} is gone: its image was converted anew meanwhile; push again")
    file = LargeFile(
        source=source,
        sha256=sif.sha256,
        size_bytes=sif.size_bytes,
        path=scratch.images / sif.file_name,
        upload_dir=upload_dir,
        newest=newest_image(scratch, sif.name, form_of(scratch.images / sif.file_name)),
        what="image",
        again="push again",
        make_room=_MAKE_ROOM,
        delta=delta,
    )
    try:
        return send_large_file(host, file, progress)
    except ChangedHereError as error:
        # The next push makes it anew.
        sif.file.unlink(missing_ok=True)
        raise ImageError(f"{error}. It was removed here; push again, which makes it anew") from error


@contextmanager
def _explained() -> Iterator[None]:
    """Say, of a cut, that nothing is lost by it."""
    try:
        yield
    except ConnectionLostError as error:
        raise ConnectionLostError(f"{error}\n  {_RESUME}") from error
