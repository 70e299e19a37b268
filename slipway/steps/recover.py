"""Records that cannot be read, brought again from the cluster, where each run has its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from slipway.errors import SlipwayError, SshError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import open_scratch
from slipway.job.record import parse_run
from slipway.job.record_file import MOST_BYTES, UnreadableRecord
from slipway.job.run import Run, RunPaths
from slipway.site import Site
from slipway.steps.session import Session

# A record begins with its id and its site, which a file that is cut still has.
_SITE = re.compile(rb'^ "site": "([\w.-]+)",?$', re.M)


def recover_there(session: Session, host: Host, site: Site, records: Sequence[UnreadableRecord]) -> list[Run]:
    """Bring records again from a site that is logged in to, where it has them; written down here.

    Args:
        session: its progress is told what was found.
        host: the connection to the site.
        site: the site.
        records: those that cannot be read; the ones that name another site are left alone.
    """
    found = []
    for record in records:
        if record.is_newer or _site_of(record) not in (None, site.name):
            continue
        try:
            run = _recover(session, host, site, record)
        except SshError:
            raise
        except SlipwayError as error:
            session.progress.note(f"{record.run_id}: {error}")
            continue
        found += [run] if run else []
    return found


def recover(session: Session, record: UnreadableRecord) -> Run:
    """Bring a record again from its site; where it does not tell its site, from one where other runs are.

    Raises:
        UsageError: no site has it. The message says what to do.
        SlipwayError: the only site that may have it cannot be reached.
    """
    said = f"{record.file} cannot be read: {record.why}"
    if record.is_newer:
        raise UsageError(f"{said}; update this checkout")
    named = _site_of(record)
    sites = [named] if named else list(dict.fromkeys(run.site for run in session.store.entries()))
    for name in sites:
        try:
            site = session.site(name)
            session.progress.step(f"{said}; looking at {name}")
            with session.connect(site) as host:
                if run := _recover(session, host, site, record):
                    return run
        except SlipwayError as error:
            if len(sites) == 1:
                raise
            session.progress.note(f"{name}: {error}")
    where = f"{', '.join(sites)} has none" if sites else "no other run tells at which site to look for one"
    raise UsageError(
        f"{said}, and {where}. Put a copy in its place, such as `run.json` of its folder on the cluster "
        "or in results/, or move it away"
    )


def _recover(session: Session, host: Host, site: Site, record: UnreadableRecord) -> Run | None:
    """The run, where this site has a record of it that can be read.

    Raises:
        UsageError: what the site has cannot be read either.
    """
    paths = RunPaths.of(open_scratch(host, site, make=False), record.run_id)
    size_bytes = host.size(paths.record)
    content = None if size_bytes is None or size_bytes > MOST_BYTES else host.read(paths.record)
    if content is None:
        return None
    try:
        run = parse_run(content)
        if (run.run_id, run.site, PurePosixPath(run.run_dir)) != (record.run_id, site.name, paths.folder):
            raise ValueError("it is the record of another run")
    except ValueError as error:
        raise UsageError(f"{host.target}:{paths.record} cannot be read either: {error}") from error
    kept = session.store.replace_unreadable(record, run)
    if kept:
        session.progress.note(
            f"The record of {run.run_id} could not be read; it was brought again from {site.name}, "
            f"and the unreadable file is {kept.name} beside it"
        )
    return run


def _site_of(record: UnreadableRecord) -> str | None:
    found = _SITE.search(record.content)
    return found[1].decode(errors="replace") if found else None
