"""From a login node's name to a site's file, by asking the cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from slipway.errors import ConfigError, HostKeyChangedError, HostKeyError, RemoteError, UsageError
from slipway.host.host import Host, connect
from slipway.init.answers import check_host, check_scratch, check_site, check_user
from slipway.init.cluster import (
    ClusterFacts,
    facts_command,
    modules_command,
    parse_facts,
    scratch_command,
)
from slipway.init.questions import Questions
from slipway.init.site_text import SiteChoice, free_words, render_site
from slipway.model import WrongValueError, read_values
from slipway.multiplex.kept import Kept, end_kept
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.queues import UNTYPED, ClusterQueues, QueueState
from slipway.scheduler.slurm.answers import run_all
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from slipway.ssh.config import list_aliases
from slipway.ssh.prompt import NoPrompt
from slipway.ssh.target import resolve_target
from slipway.steps.login import leave_login
from slipway.steps.queues import FileChange, missing_entries
from slipway.steps.session import Session

_OTHERS = {"qsub": "PBS, Torque or Grid Engine", "bsub": "LSF", "condor_submit": "HTCondor"}


@dataclass(frozen=True, kw_only=True)
class SiteOptions:
    """What the command line says; what is missing is asked, or found out. With ``yes`` nobody is asked."""

    name: str
    host: str | None = None
    user: str | None = None
    scratch: str | None = None
    yes: bool = False
    replace: bool = False
    # Leave the login for the commands to come, as `login` does.
    keep: bool = False


@dataclass(frozen=True, kw_only=True)
class FoundSite:
    """A site's file as it would be, what was found, a line each, and the login that was left."""

    change: FileChange
    lines: Sequence[str]
    kept: Kept | None = None


def find_site(session: Session, options: SiteOptions) -> FoundSite:
    """Ask a cluster about itself, by one login, and a person what it does not know. Nothing is written.

    Raises:
        UsageError: there is such a file already, or a value cannot be.
        RemoteError: the cluster has no SLURM.
        SshError: it cannot be reached.
    """
    name = check_site(options.name)
    file = session.project.sites[0] / f"{name}.yaml"
    if os.path.lexists(file) and not options.replace:
        raise UsageError(
            f"{file} is there already, and stays as it is; `invoke queues {name} --write` adds what its "
            "queues lack, and --replace writes it anew"
        )
    ask = Questions(NoPrompt() if options.yes else session.prompt)
    user, _, host = (options.host or _ask_host(ask, name)).rpartition("@")
    user = options.user or user
    login = Login(host=check_host(host), user=check_user(user) if user else None)
    session.progress.step(f"Logging in to {login.host}")
    with _left_behind(session, login, options) as kept:
        with _log_in(session, login) as there:
            session.progress.step(f"Asking {login.host} about itself")
            facts = look_around(there)
            queues = find_scheduler("slurm").queues(there)
            choice = _choose(session, there, options, login, facts, queues, ask)
        text = render_site(choice, facts, datetime.now(timezone.utc).date())
        _check(text, file)
    old = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    return FoundSite(
        change=FileChange(file=file, old=old, new=text), lines=found_lines(choice, facts, queues), kept=kept
    )


def write_site(change: FileChange, *, replace: bool) -> None:
    """Write a new site's file, as a whole.

    Raises:
        UsageError: somebody else has written one meanwhile.
        HostError: it cannot be written.
    """
    from slipway.init.plan import PlannedFile
    from slipway.init.write import write_files
    from slipway.steps.queues import write_change

    if replace and change.file.is_file():
        write_change(change)
        return
    planned = PlannedFile(name=change.file.name, action="write", content=change.new.encode())
    write_files(change.file.parent, [planned])
    if change.file.read_bytes() != change.new.encode():
        raise UsageError(f"{change.file} was written meanwhile, and stays as it is")


def look_around(host: Host) -> ClusterFacts:
    """What a cluster says of itself.

    Raises:
        RemoteError: it has no SLURM.
        ParseError: its answers were cut off.
        SshError: the connection was lost.
    """
    results = run_all(host, [facts_command(), scratch_command(), modules_command()])
    facts = parse_facts(*(result.stdout for result in results))
    if "sbatch" not in facts.values:
        other = next((name for command, name in _OTHERS.items() if command in facts.values), None)
        has = f"; it has {other}, for which no file can be written by itself" if other else ""
        if "qsub" in facts.values:
            has += " (for PBS or Torque write cluster/NAME.yaml with `scheduler: pbs`, as docs/pbs.md says)"
        raise RemoteError(
            f"{host.target}: a login shell there finds no sbatch{has}. If a module or a start file brings "
            "it, have ~/.bash_profile there load it; else name a login node of a cluster with SLURM"
        )
    return facts


@contextmanager
def _left_behind(session: Session, login: Login, options: SiteOptions) -> Iterator[Kept | None]:
    """The login that is left for the commands to come, if that is wanted; none where nothing comes of it."""
    kept = None
    if options.keep:
        with _explained(session, login):
            kept = leave_login(session, login, options.name)
    try:
        yield kept
    except BaseException:
        if kept is not None:
            end_kept(kept.path)
        raise


def _log_in(session: Session, login: Login) -> Host:
    """A connection; a host that is not known yet is shown to the person, by the same login."""
    from slipway.ssh.trust import HostKeyPrompt

    state, prompt = session.project.state, session.prompt
    met = HostKeyPrompt(ask=prompt)
    with _explained(session, login):
        host = connect(login, state, prompt, on_host_key=met.on_host_key)
    for line in met.news:
        session.progress.note(line)
    return host


@contextmanager
def _explained(session: Session, login: Login) -> Iterator[None]:
    """Say what to do where nobody has confirmed a host's key."""
    try:
        yield
    except HostKeyChangedError:
        raise
    except HostKeyError as error:
        target = resolve_target(login, session.project.state)
        raise HostKeyError(
            f"{target}: its key is not known here yet, and nobody has confirmed it; compare it with what the "
            f"site publishes, in a terminal: here, or by `{target.ssh_command}`"
        ) from error


def _choose(
    session: Session,
    host: Host,
    options: SiteOptions,
    login: Login,
    facts: ClusterFacts,
    queues: ClusterQueues,
    ask: Questions,
) -> SiteChoice:
    usable = [queue for queue in queues.queues if queue.refused is None]
    account = _account(queues, facts, ask)
    partition = _partition(usable, ask)
    scratch = check_scratch(options.scratch) if options.scratch else _scratch(facts, ask)
    return SiteChoice(
        name=options.name,
        host=login.host,
        user=login.user,
        scratch=scratch,
        container=facts.container,
        account=account,
        partition=partition,
        gpu_request=_gpu_request(session, host, options.name, login, usable, account),
        accounts=queues.accounts,
        queues=missing_entries({}, queues.queues),
    )


def _scratch(facts: ClusterFacts, ask: Questions) -> str:
    if not facts.folders:
        return ask.answer("A large folder there, which jobs see and you can write to", "", check_scratch)
    best, *others = facts.folders
    if not others:
        return best.written
    known = "; ".join(map(free_words, facts.folders))
    return ask.answer(f"Folder for large files: {known}", best.written, check_scratch)


def _account(queues: ClusterQueues, facts: ClusterFacts, ask: Questions) -> str | None:
    names = [*queues.accounts]
    default = facts.values.get("account")
    if default not in names:
        default = names[0] if names else None
    if len(names) < 2 or default is None:
        return default
    return ask.choose("Account that pays for jobs", names, default)


def _partition(usable: Sequence[QueueState], ask: Questions) -> str | None:
    names = [queue.name for queue in usable]
    default = next((queue.name for queue in usable if queue.is_default), names[0] if names else None)
    if len(names) < 2 or default is None:
        return default
    question = "Partition for jobs that name none (auto: where they begin first)"
    return ask.choose(question, [*names, "auto"], default)


def _gpu_request(
    session: Session, host: Host, name: str, login: Login, usable: Sequence[QueueState], account: str | None
) -> str | None:
    """How GPUs are asked for: the first way that SLURM takes; ``None`` where there are none."""
    queue = next((queue for queue in usable if queue.offer.max_gpus), None)
    if queue is None:
        return None
    kind = next(iter(queue.offer.max_gpus or {}))
    wanted = SlurmResources(
        gpus="1" if kind == UNTYPED else f"{kind}:1", partition=queue.name, time="1", account=account
    )
    site = SlurmSite(name=name, login=login, paths=Paths(scratch="/"))
    for way in ("gres", "gpus"):
        (start,) = find_scheduler("slurm").find_starts(
            host, [wanted], site.model_copy(update={"gpu_request": way})
        )
        if start.in_s is not None:
            return way
    session.progress.note(
        f"SLURM took neither --gres=gpu:{wanted.gpus} nor --gpus={wanted.gpus} in {queue.name}: check "
        "gpu_request"
    )
    return "gres"


def found_lines(choice: SiteChoice, facts: ClusterFacts, queues: ClusterQueues) -> list[str]:
    """What was found, a line each."""
    command, module = choice.container or ("", None)
    kinds = sorted({kind for queue in queues.queues for kind in queue.offer.max_gpus or {}})
    gpus = ", ".join("of no type" if kind == UNTYPED else kind for kind in kinds)
    container = f"{command} {f'by the module {module}' if module else 'without a module'}"
    lines = [
        f"scratch     {choice.scratch}",
        f"containers  {container if command else 'not found: write modules and container.command yourself'}",
        f"partitions  {', '.join(queue.name for queue in queues.queues)}; default {choice.partition}",
        f"GPUs        {f'{gpus}; asked for by --{choice.gpu_request}' if kinds else 'none'}",
        f"account     {choice.account or 'none is known'}",
        f"files go by {'rsync' if 'rsync' in facts.values else 'SFTP, as there is no rsync there'}",
    ]
    if choice.scratch == "$HOME":
        lines[0] += ": no other large folder was found; ask your site for its scratch"
    refused = [f"{queue.name} ({queue.refused})" for queue in queues.queues if queue.refused]
    return [*lines, *([f"not for you {'; '.join(refused)}"] if refused else []), *queues.notes]


def _check(text: str, file: Path) -> None:
    """Refuse to write what could not be read again.

    Raises:
        ConfigError: it could not.
    """
    import yaml

    try:
        read_values(SlurmSite, {**yaml.safe_load(text), "name": "x"})
    except (WrongValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} cannot be written of what the cluster says: {error}") from error


def _ask_host(ask: Questions, name: str) -> str:
    known = _aliases()
    default = name if name in known else ""
    shown = f" ({', '.join(known[:8])})" if known else ""
    question = f"Its login node: USER@HOST, a host's name or an alias of ~/.ssh/config{shown}"
    return ask.answer(question, default, lambda word: check_host(word.rpartition("@")[2]) and word, "--host")


def _aliases() -> list[str]:
    home = Path.home()
    try:
        return [*list_aliases(home / ".ssh" / "config", home / ".ssh")]
    except (ConfigError, ValueError):
        return []
