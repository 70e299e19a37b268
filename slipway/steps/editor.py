"""ssh into the container of a run, for editors: an entry in ssh_config, and what carries its connections."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from slipway.editor.entry import (
    INCLUDE,
    Entry,
    aliases,
    is_name_taken,
    proxy_command,
    second_name,
    with_entry,
    with_include,
    without_entry,
    without_include,
)
from slipway.errors import ConfigError, HostError, JobError, RemoteError
from slipway.host.host import Host
from slipway.host.marked import MarkedProgram, start_marked
from slipway.job.join import read_script, script_arguments
from slipway.job.run import Run
from slipway.lock import only_one
from slipway.multiplex.folder import is_possible, make_folder
from slipway.site import Site
from slipway.ssh.new_key import make_key
from slipway.ssh.target import resolve_target
from slipway.steps.on_node import choose_task, require_alive, wait_where
from slipway.steps.session import Session

_CHUNK_BYTES = 1 << 16
_PATIENCE_S = 10


def ssh_folder() -> Path:
    """Where the user's ssh_config is."""
    return Path("~/.ssh").expanduser()


def find_entry(session: Session, run: Run, site: Site, task: int | None) -> Entry:
    """The entry of a run, or of a task of it."""
    name = run.run_id if task is None else f"{run.run_id}-{task}"
    settings = [
        f"{key}={os.environ[key]}" for key in ("SLIPWAY_STATE", "SLIPWAY_RESULTS") if os.environ.get(key)
    ]
    words = ["--run", run.run_id, *([] if task is None else ["--task", str(task)])]
    return Entry(
        alias=f"slipway-{name}",
        also=second_name(run.name, task),
        user=resolve_target(site.login, session.project.state).user,
        folder=session.project.state / "ssh" / name,
        proxy=proxy_command(sys.executable, session.project.root, settings, words),
    )


def write_entry(session: Session, run: Run, site: Site, task: int | None) -> Entry:
    """Write the entry of a run into ``~/.ssh/slipway_config``, with keys that are made for it.

    Those of this project's runs that are over go. A second name that another entry has stays that one's.

    Returns:
        The entry as it was written.

    Raises:
        HostError: a file cannot be written.
        JobError: the run is over.
    """
    entry = find_entry(session, run, site, choose_task(run, task))
    if run.state.is_over:
        raise JobError(f"{run.shown} is over ({run.state}); only a run that waits or runs has a container")
    file = ssh_folder() / "slipway_config"
    with _only_one():
        if not entry.known_hosts.exists():
            _make_keys(entry)
        text = _read(file)
        for alias in _ended(session, aliases(text)):
            text = without_entry(text, alias)
            _remove_keys(session, alias)
        if is_name_taken(text, entry):
            entry = replace(entry, also=None)
        _write(file, with_entry(text, entry))
    return entry


@contextmanager
def _only_one() -> Iterator[None]:
    """Only one command of this user changes the files of ssh at a time, from whichever project."""
    folder = make_folder() if is_possible() else Path(tempfile.gettempdir())
    with only_one(folder / "slipway_config.lock", lambda: None):
        yield


def _ended(session: Session, known: Sequence[str]) -> list[str]:
    """Those of some entries whose runs, in this project, are over."""
    over = [entry.run_id for entry in session.store.entries() if entry.state.is_over]
    ended = re.compile(f"slipway-({'|'.join(map(re.escape, over))})(-[0-9]+)?") if over else None
    return [alias for alias in known if ended and ended.fullmatch(alias)]


def _remove_keys(session: Session, alias: str) -> None:
    shutil.rmtree(session.project.state / "ssh" / alias.removeprefix("slipway-"), ignore_errors=True)


def needs_include() -> bool:
    """True where ``~/.ssh/config`` does not have the line that includes the entries."""
    text = _read(ssh_folder() / "config")
    return with_include(text) != text


def write_include() -> Path:
    """Put that line before all others; returns the file."""
    file = ssh_folder() / "config"
    with _only_one():
        _write(file, with_include(_read(file)))
    return file


def remove_entries(session: Session, wanted: Sequence[str] | None) -> list[str]:
    """Take entries away, with their keys, and the line that includes them after the last.

    Args:
        session: where.
        wanted: their names; ``None`` for all.

    Returns:
        What was done, a line each.

    Raises:
        HostError: a file cannot be read or written.
    """
    with _only_one():
        return _remove_entries(session, wanted)


def _remove_entries(session: Session, wanted: Sequence[str] | None) -> list[str]:
    file, config = ssh_folder() / "slipway_config", ssh_folder() / "config"
    text, done = _read(file), list[str]()
    for alias in aliases(text) if wanted is None else wanted:
        if alias in aliases(text):
            text = without_entry(text, alias)
            done.append(f"{file}: {alias} is taken out")
        _remove_keys(session, alias)
    if text:
        _write(file, text)
        return done
    file.unlink(missing_ok=True)
    before = _read(config)
    if (after := without_include(before)) != before:
        _write(config, after)
        done.append(f"{config}: `{INCLUDE.strip()}` is taken out")
    return done


def serve_proxy(session: Session, run: Run, site: Site, task: int | None) -> int:
    """Carry one connection of ssh between this process's input and output and the container of a run.

    Returns:
        The exit code of what serves it there.

    Raises:
        JobError: the run is over.
        RemoteError: there is no sshd on the node.
        SshError: the connection to the site was lost.
    """
    # A run that is over stays so: nobody has to log in to be told.
    require_alive(run, run.status)
    task = choose_task(run, task)
    entry = find_entry(session, run, site, task)
    with session.connect(site) as host:
        place = wait_where(session, host, run, task)
        argv, secret = _server(session, place.run, entry)
        with start_marked(host, argv, place.command) as program:
            return _carry(host, program, secret)


def _server(session: Session, run: Run, entry: Entry) -> tuple[list[str], bytes]:
    """The argv of ``cluster/editor.sh``, and what goes before its input."""
    try:
        secret = entry.host_key.read_bytes()
        public = Path(f"{entry.identity}.pub").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"{entry.folder} has no keys for {entry.alias}: `invoke ssh.config --run {run.run_id}` makes them"
        ) from error
    shared = session.project.share / "cluster"
    script = (shared / "editor.sh").read_text(encoding="utf-8")
    words = [str(len(secret)), public, read_script(shared), *script_arguments(run, "")]
    return ["bash", "-c", script, "slipway-editor", "serve", *words], secret


def _carry(host: Host, program: MarkedProgram, secret: bytes) -> int:
    def drain() -> None:
        with suppress(OSError, EOFError):
            for chunk in program.errors():
                os.write(2, chunk)

    def feed() -> None:
        with suppress(OSError, EOFError):
            program.send(secret)
            while chunk := os.read(0, _CHUNK_BYTES):
                program.send(chunk)
            program.end_input()

    errors = threading.Thread(target=drain, daemon=True)
    errors.start()
    if not program.wait_for_begin():
        code = program.exit_code()
        errors.join(_PATIENCE_S)
        if not program.has_login:
            raise program.no_begin()
        raise RemoteError(
            f"{host.target}: the scheduler did not start what serves the connection (exit code {code})"
        )
    threading.Thread(target=feed, daemon=True).start()
    for chunk in program.output():
        while chunk:
            chunk = chunk[os.write(1, chunk) :]
    errors.join(_PATIENCE_S)
    return program.exit_code()


def _make_keys(entry: Entry) -> None:
    shutil.rmtree(entry.folder, ignore_errors=True)
    entry.folder.mkdir(mode=0o700, parents=True)
    make_key(entry.identity, entry.alias)
    public = make_key(entry.host_key, entry.alias)
    # It is written last: who finds it finds all.
    _write(entry.known_hosts, f"{entry.alias} {' '.join(public.split()[:2])}\n")


def _read(file: Path) -> str:
    try:
        # Not as text: the ends of its lines stay as they are.
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise HostError(f"{file} cannot be read: {error.strerror or error}") from error


def _write(file: Path, text: str) -> None:
    """Write a file as a whole, with the mode that it has, or for its owner alone."""
    try:
        file = file.resolve()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
        with os.fdopen(descriptor, "wb") as new:
            new.write(text.encode("utf-8", "surrogateescape"))
        if file.exists():
            Path(part).chmod(file.stat().st_mode & 0o777)
        Path(part).replace(file)
    except OSError as error:
        raise HostError(f"{file} cannot be written: {error.strerror or error}") from error
