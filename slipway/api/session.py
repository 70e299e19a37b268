"""The session of the Python API: it keeps its connections, and listens and asks by plain functions, too."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from slipway.api.connections import Connections
from slipway.errors import LoginError
from slipway.host.host import Host
from slipway.host.scratch import Scratch, open_scratch
from slipway.progress import NullProgress, Progress
from slipway.project import Project
from slipway.site import Site
from slipway.ssh.prompt import NoPrompt
from slipway.steps.session import Session

Listener = Progress | Callable[[str], object]
Ask = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class KeptSession(Session):
    """A session whose connections outlive single steps; they are closed when nobody has it any more."""

    connections: Connections

    def connect(self, site: Site) -> AbstractContextManager[Host]:
        """The kept connection to a site, for the time of a `with`."""
        return self.connections.use(site)

    @contextmanager
    def open_scratch(
        self, site: Site, *, make: bool = True, ahead: Sequence[Callable[[Scratch], Sequence[str]]] = ()
    ) -> Iterator[tuple[Host, Scratch]]:
        """See :meth:`slipway.steps.session.Session.open_scratch`; no word of a login where there is none."""
        with self.connect(site) as host:
            yield host, open_scratch(host, site, make=make, ahead=ahead)


def keep_session(project: Project, listener: Listener | None, ask: Ask | None) -> KeptSession:
    """A session for a project.

    Args:
        project: the folders.
        listener: is told of steps and notes; see :class:`slipway.Project`.
        ask: answers prompts.
    """
    progress = NullProgress() if listener is None else _told(listener)
    prompt = _Nobody() if ask is None else _Asking(ask)
    plain = Session(project=project, progress=progress, prompt=prompt)
    connections = Connections(lambda site: _log_in(plain, site))
    session = KeptSession(project=project, progress=progress, prompt=prompt, connections=connections)
    weakref.finalize(session, _close_aside, connections).atexit = False
    return session


def _close_aside(connections: Connections) -> None:
    # The collector runs in any thread, also in one of the connection's own, which cannot wait for its end.
    threading.Thread(target=connections.close, daemon=True).start()


def _told(listener: Listener) -> Progress:
    return listener if isinstance(listener, Progress) else _Telling(listener)


def _log_in(session: Session, site: Site) -> Host:
    session.progress.step(f"Logging in to {site.name}")
    try:
        return session.log_in(site)
    except LoginError as error:
        if isinstance(session.prompt, _Nobody) and session.prompt.was_asked:
            raise LoginError(
                f"{error}\nIn Python, `Project(…, prompt=getpass.getpass)` asks for it, in a notebook too"
            ) from error
        raise


class _Telling(NullProgress):
    """Tells a function of steps and notes."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    def step(self, text: str) -> None:
        self._tell(text)

    def note(self, text: str) -> None:
        self._tell(text)


class _Nobody(NoPrompt):
    """Cannot be asked, and remembers that it was."""

    was_asked = False

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        self.was_asked = True
        return None


class _Asking:
    """Asks by a function such as ``getpass.getpass``; what is to be read before stands in front."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._before: list[str] = []

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        before, self._before = self._before, []
        try:
            return self._ask("\n".join([*before, prompt]))
        except EOFError:  # nobody is there; a login would take it for a lost connection
            return None

    def tell(self, text: str) -> None:
        self._before.append(text)
