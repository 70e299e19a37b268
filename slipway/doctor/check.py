"""One check: what it asks, and what it makes of the answer. A new one is an entry in ``catalog.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from slipway.doctor.finding import Finding
from slipway.errors import SlipwayError
from slipway.image.engine import Image
from slipway.profile import Profile
from slipway.project import Project
from slipway.scheduler.limits import ResourceRequest
from slipway.sif.kept import Sif
from slipway.site import Site


class Place(str, Enum):
    """Where a check looks."""

    HERE = "here"
    THERE = "there"
    NODE = "node"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a check's script has printed, both outputs, and its exit code; ``None`` where it did not end."""

    exit_code: int | None
    text: str = ""

    def value(self, key: str) -> str | None:
        """The rest of the first line that begins with this word."""
        found = (line.partition(" ")[2] for line in self.text.splitlines() if line.partition(" ")[0] == key)
        return next(found, None)

    @property
    def words(self) -> str:
        """All of it as one line."""
        return " ".join(self.text.split())


@dataclass(frozen=True, kw_only=True)
class JobEnding:
    """What came of the test job.

    Attributes:
        job_id: its id; ``None`` where it was refused.
        refusal: why it was refused.
        why_not: why it was not even submitted.
        problem: what went wrong on this side of it, such as a connection that was lost.
        answers: what the scripts have printed; ``None`` where it has left nothing.
        ended: how the scheduler says that it ended.
        waited_s: seconds from its submission to its end.
        log: the scheduler's own words.
    """

    job_id: str | None = None
    refusal: str | None = None
    why_not: str | None = None
    problem: SlipwayError | None = None
    answers: Mapping[str, Answer] | None = None
    ended: str = ""
    waited_s: float = 0.0
    log: str = ""


NO_ANSWER = Answer(exit_code=0)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known while checks are made.

    Attributes:
        project: the project.
        profile: what is to be built and run.
        site: the cluster; ``None`` where none is named.
        request: what a job of the profile would ask for there.
        image: the image here, where there is one.
        sif: the same, converted for the site.
        has_job: whether a node is looked at, too.
        target: who logs in where: ``user@host:port``.
        login_error: why the login failed.
        asked_s: when the login node was asked and when it had answered, in seconds since 1970.
        answers: what checks' scripts have printed, by the names of the checks.
        ending: what came of the test job.
    """

    project: Project
    profile: Profile
    site: Site | None = None
    request: ResourceRequest | None = None
    image: Image | None = None
    sif: Sif | None = None
    has_job: bool = False
    target: str = ""
    login_error: SlipwayError | None = None
    asked_s: tuple[float, float] = (0.0, 0.0)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    ending: JobEnding | None = None

    @property
    def there(self) -> Site:
        """The cluster, for checks that are only made where there is one."""
        assert self.site is not None  # noqa: S101 - checks of a cluster are skipped without one
        return self.site

    @property
    def wanted(self) -> ResourceRequest:
        """What a job would ask for, likewise."""
        assert self.request is not None  # noqa: S101
        return self.request

    @property
    def file(self) -> str:
        """The site's file, for words on what is to be changed in it."""
        return self.there.file_to_change

    def answer(self, name: str) -> Answer:
        """What a check's script has printed; nothing where it has not run."""
        return self.answers.get(name, Answer(exit_code=None))


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        name: for JSON and scripts; no other check has it.
        title: as a person reads it, in at most 18 letters.
        place: where it looks.
        about: what it looks at.
        predicts: what fails where it fails.
        look: makes a finding of what is known, and of the answer to its own script.
        ask: its script, in bash; ``None`` where it needs none.
        needs: checks without whose good end it cannot be made.
        is_plain: its script is run by itself, by ``sh`` without a login shell's environment.
    """

    name: str
    title: str
    place: Place
    about: str
    predicts: str
    look: Callable[[Facts, Answer], Finding]
    ask: Callable[[Facts], str] | None = None
    needs: tuple[str, ...] = ()
    is_plain: bool = False
