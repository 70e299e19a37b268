"""Getting on a site's hosts without a password, and from each of them to each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace

from slipway.access import there
from slipway.access.here import made_keys, make_own_key, own_keys, remove_known_lines, remove_own_key
from slipway.access.machine import HERE, Machine, Way, find_machines
from slipway.access.mark import (
    MADE_FILE,
    MADE_FOLDER,
    add_lines,
    has_key,
    is_of_another,
    made_by_us,
    mark,
    remove_marked,
)
from slipway.errors import LoginError, RemoteError, SlipwayError
from slipway.host.host import Host
from slipway.site import Site
from slipway.ssh.hostkey import known_line, list_keys
from slipway.ssh.login import close, log_in, shown_key
from slipway.ssh.prompt import Prompt
from slipway.ssh.trust import HostKeyPrompt
from slipway.ssh.userauth import Transport
from slipway.steps.session import Session


@dataclass(kw_only=True)
class _Asked:
    """Hands questions on, and counts them."""

    prompt: Prompt
    count: int = 0

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        self.count += 1
        return self.prompt.ask(prompt, echo=echo)

    def tell(self, text: str) -> None:
        self.prompt.tell(text)


@contextmanager
def _noted(machine: Machine) -> Iterator[None]:
    """What goes wrong with one host stops none of the others."""
    try:
        yield
    except SlipwayError as error:
        machine.problem = error


@dataclass(kw_only=True)
class Setup:
    """One setting up of a site's hosts.

    Attributes:
        yes: nobody is asked whether a host's key is right.
        machines: its hosts.
    """

    session: Session
    site: Site
    yes: bool = False
    machines: list[Machine] = field(default_factory=list)

    def run(self) -> list[Way]:
        """Set up all hosts; one that fails stops none of the others.

        Returns:
            Each way that was tried.
        """
        self.machines = find_machines(self.site, self.session.project.state)
        with ExitStack() as stack:
            for machine in self.machines:
                with _noted(machine):
                    self._enter(machine, stack)
            ways = [
                Way(start=HERE, end=one.name, problem=str(one.problem) if one.problem else None)
                for one in self.machines
            ]
            return [*ways, *(self._join() if len(self.machines) > 1 else ())]

    def undo(self) -> None:
        """Take away what was added on each host, and here once that is done on all."""
        self.machines = find_machines(self.site, self.session.project.state)
        # What was added on a host may be what opens the way to those behind it.
        for machine in sorted(self.machines, key=lambda one: -len(one.target.jumps)):
            with _noted(machine):
                self._leave(machine)
        if all(machine.problem is None for machine in self.machines):
            self._leave_here()

    def error(self, ways: Sequence[Way] = ()) -> SlipwayError | None:
        """What is wrong with the hosts, or else with the ways between them, if anything is."""
        problems = [machine.problem for machine in self.machines if machine.problem]
        if len(problems) == 1:
            return problems[0]
        if problems:
            is_alike = len({error.exit_code for error in problems}) == 1
            kind = type(problems[0]) if is_alike else SlipwayError
            return kind("\n".join(dict.fromkeys(map(str, problems))))
        broken = sum(way.problem is not None for way in ways)
        return (
            RemoteError(f"{broken} of {len(ways)} ways do not work; what is wrong is above")
            if broken
            else None
        )

    @property
    def _ready(self) -> list[tuple[Machine, Host]]:
        return [(one, one.host) for one in self.machines if one.host is not None and one.problem is None]

    def _mark(self, whose: str = "") -> str:
        return mark(self.site.name, whose)

    def _enter(self, machine: Machine, stack: ExitStack) -> None:
        progress, ask = self.session.progress, self.session.prompt
        keys, problems = own_keys(machine.target, ask)
        if not keys:
            for problem in problems:
                progress.note(problem)
            place, public = make_own_key(machine.target, self._mark(HERE), ask)
            keys = [public]
            progress.note(f"Made the key {place}")
        progress.step(f"Logging in to {machine.target}")
        trusted = HostKeyPrompt(ask=ask, yes=self.yes, comment=self._mark("known"))
        asked = _Asked(prompt=ask)
        transports = log_in(machine.target, asked, trusted.on_host_key)
        machine.host = stack.enter_context(closing(Host(machine.target, transports)))
        machine.shown = shown_key(transports[-1])
        for line in trusted.lines:
            progress.note(line)
        self._let_in(machine, machine.host, keys, transports[:-1] if asked.count else None)

    def _let_in(
        self, machine: Machine, host: Host, keys: Sequence[str], way: Sequence[Transport] | None
    ) -> None:
        """Put a key of this machine there, where the login has asked for something, and try it."""
        problems = there.mode_problems(there.look(host))
        for problem in problems:
            self.session.progress.note(f"{machine.target}: {problem}")
        if way is None:
            return
        content = there.read(host, there.AUTHORIZED)
        if not any(has_key(content.data, key.split()[1]) for key in keys):
            self._add(host, content, [(keys[0], HERE)])
            self.session.progress.note(f"{machine.target}: this machine's key is in ~/{there.AUTHORIZED} now")
        self._try_key(machine, way, problems)

    def _try_key(self, machine: Machine, way: Sequence[Transport], problems: Sequence[str]) -> None:
        target = replace(machine.target, methods=("publickey",))
        try:
            # Hosts on the way have asked what they ask.
            close(log_in(target, self.session.prompt, through=way))
        except LoginError as error:
            if error.key_was_taken:
                self.session.progress.note(
                    f"{machine.target}: the key is taken, and more is asked for besides"
                )
                return
            where = "the site may keep keys elsewhere (AuthorizedKeysFile): its documentation says"
            why = f"sshd refuses it because {'; '.join(problems)}" if problems else where
            raise LoginError(
                f"{machine.target}: this machine's key is in ~/{there.AUTHORIZED} and opens nothing: {why}"
            ) from error

    def _add(self, host: Host, content: there.Content, keys: Sequence[tuple[str, str]]) -> None:
        # Whoever takes the last of these lines away removes what was made for the first.
        made = MADE_FILE if content.has_folder else MADE_FOLDER
        made = made_by_us(content.data) if content.has_file else made
        lines = [f"{key} {self._mark(whose)}{made}" for key, whose in keys]
        there.write(host, content, add_lines(content.data, lines))

    def _join(self) -> Iterator[Way]:
        """Let each host in on each, then try all ways."""
        for machine, host in self._ready:
            self.session.progress.step(f"Keys of {machine.name}")
            with _noted(machine):
                self._own_key(machine, host)
        for machine, host in self._ready:
            self.session.progress.step(f"Letting the others in on {machine.name}")
            with _noted(machine):
                self._admit(machine, host)
        self.session.progress.step("Trying all ways")
        for start in self.machines:
            for end in self.machines:
                self.session.progress.line(f"{start.name} → {end.name}")
                yield Way(start=start.name, end=end.name, problem=self._try(start, end))

    def _own_key(self, machine: Machine, host: Host) -> None:
        machine.public = there.find_or_make_key(host, self._mark(f"{machine.target.user}@{machine.name}"))

    def _admit(self, machine: Machine, host: Host) -> None:
        content = there.read(host, there.AUTHORIZED)
        keys = {
            one.public: f"{one.target.user}@{one.name}"
            for one, _ in self._ready
            if one.public and not has_key(content.data, one.public.split()[1])
        }
        if keys:
            self._add(host, content, [*keys.items()])
        known = there.read(host, there.KNOWN)
        text = known.data.decode(errors="surrogateescape")
        made = "" if known.has_file else MADE_FILE
        lines = [
            known_line(one.known_name, one.shown, self._mark("known") + made)
            for one, _ in self._ready
            if one.shown is not None and not list_keys(text, one.known_name)
        ]
        there.write(host, known, add_lines(known.data, [*dict.fromkeys(lines)]))

    def _try(self, start: Machine, end: Machine) -> str | None:
        for one in (start, end):
            if one.problem is not None or one.host is None:
                return f"{one.name} is not ready: {one.problem}"
        assert start.host is not None  # noqa: S101 - looked at above
        try:
            return there.try_login(start.host, end.target.user, *end.address)
        except SlipwayError as error:
            return str(error)

    def _leave(self, machine: Machine) -> None:
        progress = self.session.progress
        progress.step(f"Logging in to {machine.target}")
        with closing(Host(machine.target, log_in(machine.target, self.session.prompt))) as host:
            if file := there.remove_key(host, self._mark()):
                progress.note(f"{machine.target}: removed the key {file}")
            keys, left = own_keys(machine.target, self.session.prompt)[0], list[str]()

            def stays(words: Sequence[str]) -> bool:
                is_theirs = is_of_another(words, HERE, keys)
                left.extend(words[-1:] if is_theirs else ())
                return is_theirs

            for name in (there.KNOWN, there.AUTHORIZED):
                content = there.read(host, name)
                data, comments = remove_marked(content.data, self._mark(), stays)
                if not comments:
                    continue
                there.write(host, content, data)
                progress.note(f"{machine.target}: {len(comments)} lines taken out of ~/{name}")
                made = [one for one in comments if one.endswith((MADE_FILE, MADE_FOLDER))]
                if made and not data:
                    there.remove_empty(host, name, folder=made[0].endswith(MADE_FOLDER))
            if left:
                progress.note(
                    f"{machine.target}: {len(left)} lines of ~/{there.AUTHORIZED} stay, which let in keys "
                    "that this machine does not have: another one has put them there"
                )

    def _leave_here(self) -> None:
        progress, ask = self.session.progress, self.session.prompt
        for target in {target for one in self.machines for target in (*one.target.jumps, one.target)}:
            for file in remove_known_lines(target, self._mark()):
                progress.note(f"Lines taken out of {file}")
        places = {place for one in self.machines for place in made_keys(one.target, self._mark(HERE))}
        for place in sorted(places):
            answer = ask.ask(
                f"Remove the key {place}, which was made for {self.site.name}? (yes or no) ", echo=True
            )
            if answer == "yes":
                remove_own_key(place)
                progress.note(f"Removed the key {place}")
            else:
                progress.note(f"The key {place} stays: other hosts may know it by now")
