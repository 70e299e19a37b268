"""Setting up a user's repository."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from slipway.errors import ConfigError, UsageError
from slipway.init.answers import (
    BOX,
    SCRATCH,
    Answers,
    check_host,
    check_scratch,
    check_site,
    check_user,
    guess_site,
)
from slipway.init.detect import Findings, look_around
from slipway.init.place import check_place
from slipway.init.plan import LOCAL, PROFILE, PlannedFile, plan_files, read_site, site_file
from slipway.init.write import write_files
from slipway.multiplex.kept import Kept
from slipway.progress import NullProgress, Progress
from slipway.project import Project
from slipway.share import share_folder
from slipway.site_file import list_sites
from slipway.ssh.config import list_aliases
from slipway.ssh.prompt import NoPrompt, Prompt

_SHOWN_ALIASES = 8


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """What the command line says; all else is asked. With ``yes`` nothing is."""

    site: str | None = None
    host: str | None = None
    user: str | None = None
    scratch: str | None = None
    yes: bool = False
    # Have the cluster say what is to be in its file.
    from_host: bool = False


@dataclass(frozen=True, kw_only=True)
class InitResult:
    """What became of each file, what there is to say of it, and the commands to go on with.

    Attributes:
        kept: the login that was left for these commands; ``None`` where none was made.
    """

    files: tuple[PlannedFile, ...]
    notes: tuple[str, ...]
    commands: tuple[str, ...]
    kept: Kept | None = None


def init(folder: Path, options: InitOptions, prompt: Prompt, progress: Progress | None = None) -> InitResult:
    """Make a folder a project: ask, then write what is not there. What is there stays as it is.

    Raises:
        UsageError: the folder is no place for a project, or an option cannot be.
        HostError: a file cannot be written.
        SshError: the cluster that was to be asked cannot be reached.
    """
    check_place(folder, sure=options.yes)
    found = look_around(folder)
    answers = _Questions(folder, options, NoPrompt() if options.yes else prompt).answers()
    files, kept = plan_files(folder, found, answers), None
    if options.from_host:
        files, kept = _ask_cluster(folder, files, answers, options, prompt, progress or NullProgress())
    notes = _notes(folder, found, answers, files, has_asked=options.from_host)
    write_files(folder, files)
    return InitResult(
        files=files,
        notes=tuple(notes),
        commands=_commands(found, answers, files, has_asked=options.from_host),
        kept=kept,
    )


def _ask_cluster(
    folder: Path,
    files: tuple[PlannedFile, ...],
    answers: Answers,
    options: InitOptions,
    prompt: Prompt,
    progress: Progress,
) -> tuple[tuple[PlannedFile, ...], Kept | None]:
    """The same files, with the site's as its cluster says it, and the login that was left for commands."""
    from slipway.steps.session import Session
    from slipway.steps.site_add import SiteOptions, find_site

    name = site_file(answers.site)
    if not any(one.name == name and one.action == "write" for one in files):
        raise UsageError(
            f"--from-host asks a cluster what is to be in {name}, and that is there already or no host is "
            "named; add --host HOST, or leave it out"
        )
    asked = SiteOptions(
        name=answers.site,
        host=answers.host,
        user=answers.user,
        scratch=options.scratch,
        yes=options.yes,
        keep=True,
    )
    session = Session(project=Project.find(folder), progress=progress, prompt=prompt)
    cluster = find_site(session, asked)
    for line in cluster.lines:
        session.progress.note(line)
    content = cluster.change.new.encode()
    asked_files = tuple(replace(one, content=content) if one.name == name else one for one in files)
    return asked_files, cluster.kept


def _comes_along(site: str) -> bool:
    """Whether a site comes with Slipway."""
    return site in list_sites([share_folder() / "cluster"])


class _Questions:
    """What is asked, one question after the other; where nobody answers, the defaults hold."""

    def __init__(self, folder: Path, options: InitOptions, prompt: Prompt) -> None:
        self.folder = folder
        self.options = options
        self.prompt = prompt
        self.aliases = _aliases()

    def answers(self) -> Answers:
        site = self._site()
        user, _, host = (self.options.host or "").rpartition("@")
        if site == BOX and host:
            raise UsageError(f"--host {host}: the site {BOX} is a cluster on this machine; add --site NAME")
        if site == BOX or (self.folder / site_file(site)).exists() or (not host and _comes_along(site)):
            return Answers(site=site)
        if not host:
            user, _, host = self._host(site).rpartition("@")
        if not host:
            return Answers(site=site)
        user_there = self._user(user, host)
        scratch = SCRATCH if self.options.from_host else self._scratch()
        return Answers(site=site, host=check_host(host), user=user_there, scratch=scratch)

    def _site(self) -> str:
        if self.options.site:
            return check_site(self.options.site)
        host = (self.options.host or "").rpartition("@")[2]
        default = (guess_site(host) if host else read_site(self.folder)) or BOX
        known = f"; hosts in ~/.ssh/config: {', '.join(self.aliases)}" if self.aliases else ""
        question = f"Name of the cluster ({BOX}: one on this machine, to try things on{known})"
        return self._ask(question, default, check_site) or default

    def _host(self, site: str) -> str:
        default = site if site in self.aliases else ""
        question = "Its login node: a host's name, or an alias of ~/.ssh/config"
        host = self._ask(question, default, lambda word: check_host(word.rpartition("@")[2]) and word)
        if self.options.site and not (host or default):
            raise UsageError(f"there is no {site_file(site)} yet; add --host HOST, and --user and --scratch")
        return host or default

    def _user(self, given: str, host: str) -> str | None:
        if given or self.options.user:
            return check_user(self.options.user or given)
        default = "as ~/.ssh/config has it" if host in self.aliases else "the same as here"
        user = self._ask(
            "Your user name there", default, lambda word: word if word == default else check_user(word)
        )
        return None if user == default else user

    def _scratch(self) -> str:
        if self.options.scratch:
            return check_scratch(self.options.scratch)
        return self._ask("Folder for large files there", SCRATCH, check_scratch) or SCRATCH

    def _ask(self, question: str, default: str, check: Callable[[str], str]) -> str | None:
        """What somebody answers, as often as it takes; ``None`` where nobody does."""
        shown = f"{question} [{default}]: " if default else f"{question}: "
        while (answer := self.prompt.ask(shown, echo=True)) is not None:
            try:
                return check(answer.strip() or default)
            except UsageError as error:
                self.prompt.tell(str(error).partition(": ")[2])
        self.prompt = NoPrompt()
        return None


def _aliases() -> tuple[str, ...]:
    home = Path.home()
    try:
        return tuple(list_aliases(home / ".ssh" / "config", home / ".ssh")[:_SHOWN_ALIASES])
    except (ConfigError, ValueError):
        return ()  # They are only offered; who logs in is told what is wrong.


def _notes(
    folder: Path, found: Findings, answers: Answers, files: tuple[PlannedFile, ...], *, has_asked: bool
) -> list[str]:
    is_new = {one.name for one in files if one.action == "write"}
    notes, share = [], share_folder()
    if PROFILE in is_new:
        notes.append(
            "Jobs run in /code, which is read-only. What they write to the folder $SLIPWAY_OUT comes home by "
            "`invoke pull`."
        )
        notes.append(f"Every key of a profile: {share / 'env' / '.env.example'}")
        notes.append(f"Every key of a site: {share / 'cluster' / 'example.yaml'}")
    if answers.site == BOX:
        notes.append(
            f"Jobs go to the site {BOX}, a cluster in a container on this machine. "
            "`invoke init --site NAME` adds a real one."
        )
    elif not answers.host and _comes_along(answers.site):
        notes.append(
            f"{answers.site} comes with Slipway: check {share / 'cluster' / answers.site}.yaml with your "
            f"site, and copy it to {site_file(answers.site)} to correct it."
        )
    elif not answers.host and not (folder / site_file(answers.site)).exists():
        notes.append(
            f"SITE is {answers.site}, and there is no {site_file(answers.site)}: "
            f"`invoke site.add {answers.site} --host HOST` writes it."
        )
    if site_file(answers.site) in is_new and not has_asked:
        notes.append(
            f"Fill in {site_file(answers.site)}: partition, account and modules as the cluster wants them, "
            f"and another scratch where {answers.scratch} is not right."
        )
    if found.has_local and found.kind == "conda" and "Dockerfile" in is_new:
        notes.append(f"{found.files[0]} names a folder of this repository, which its build does not have.")
    if (folder / "results").exists() and ".gitignore" in {one.name for one in files if one.action != "keep"}:
        notes.append(
            "results/ was there: `invoke pull` writes there, too, and git and jobs leave it out now."
        )
    return notes


def _commands(
    found: Findings, answers: Answers, files: tuple[PlannedFile, ...], *, has_asked: bool
) -> tuple[str, ...]:
    site = shlex.quote(answers.site)
    # Where another site is the default, and stays it.
    named = f" --site {site}" if any(one.name == LOCAL and one.action == "tell" for one in files) else ""
    program = f"python3 {found.program}" if found.program else "python3 --version"
    return (
        "box.up" if answers.site == BOX else f"{'doctor' if has_asked else 'ssh.trust'} {site}",
        "build",
        f"job --push --wait{named} -- {program}",
    )
