"""A line that breaks in each way that lines break, in the middle of everything that goes over it."""

import random
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from slipway.errors import ConnectionLostError, HostKeyChangedError, RemoteError, SshError, UnreachableError
from tests.campaign import LONG, rounds
from tests.faults import Made
from tests.integration.faults import work
from tests.integration.faults.laptop import PATIENT, Ended, Laptop
from tests.integration.faults.work import Work
from tests.integration.push_box import OPTIONS
from tests.waiting import wait_until

STALL_S = 60.0 if LONG else 4.0
# Codes that a command may end with that has lost its line, or could not make one.
BROKEN = {one.exit_code for one in (ConnectionLostError, UnreachableError, SshError, RemoteError)}
PORT_OF_ANOTHER = 2222


@dataclass(frozen=True)
class Fault:
    """Something that is done to a line.

    Attributes:
        act: does it.
        options: of ssh_config meanwhile.
        survives: the command comes through all the same.
        mend: undoes it.
        codes: with which a command may end that does not come through.
    """

    act: Callable[[Laptop], object]
    options: str = OPTIONS
    survives: bool = False
    mend: Callable[[Laptop], object] = lambda laptop: None
    codes: frozenset[int] = frozenset(BROKEN)


def cut(laptop: Laptop) -> None:
    """All connections end, and for a while there are no new ones."""
    target, laptop.proxy.target = laptop.proxy.target, 9
    laptop.proxy.reset()
    threading.Timer(3.0, lambda: setattr(laptop.proxy, "target", target)).start()


def wait_for_line(laptop: Laptop) -> None:
    wait_until(lambda: laptop.proxy.target != 9, "the line")


def for_a_while(act: Callable[[Laptop], object]) -> Callable[[Laptop], object]:
    """So that what connects again by itself, as `pull` does for ten minutes, comes through in the end."""

    def both(laptop: Laptop) -> None:
        act(laptop)
        time.sleep(10.0)
        laptop.proxy.count()

    return both


def slow(laptop: Laptop) -> None:
    laptop.proxy.rate_bytes_s = laptop.proxy.down_rate_bytes_s = 10_000.0


def fast(laptop: Laptop) -> None:
    laptop.proxy.rate_bytes_s = laptop.proxy.down_rate_bytes_s = None


def restart_server(laptop: Laptop) -> None:
    """sshd with all of its sessions ends, and begins again."""
    laptop.small.as_root("sh", "-c", "pkill -9 sshd; /usr/sbin/sshd -E /var/log/sshd.log", code=None)


def listens(laptop: Laptop) -> None:
    wait_until(lambda: laptop.small.is_so("pgrep -x sshd >/dev/null"), "sshd")


def become_another(laptop: Laptop) -> None:
    """The line is cut, and who answers now shows another key."""
    laptop.small.as_root(
        "sh",
        "-c",
        "test -e /var/tmp/other_key || ssh-keygen -q -N '' -t ed25519 -f /var/tmp/other_key; "
        f"/usr/sbin/sshd -p {PORT_OF_ANOTHER} -o HostKey=/var/tmp/other_key -o PidFile=none",
    )
    address = laptop.container.attrs["NetworkSettings"]["Networks"]
    laptop.proxy.host = next(iter(address.values()))["IPAddress"]
    laptop.usual_port, laptop.proxy.target = laptop.proxy.target, PORT_OF_ANOTHER
    laptop.proxy.reset()


def become_itself(laptop: Laptop) -> None:
    laptop.proxy.host, laptop.proxy.target = "127.0.0.1", laptop.usual_port
    laptop.small.as_root("pkill", "-f", f"sshd.* -p {PORT_OF_ANOTHER}", code=None)


FAULTS = {
    "reset": Fault(lambda laptop: laptop.proxy.reset()),
    "dropped for a while": Fault(cut, mend=wait_for_line),
    "stalled": Fault(lambda laptop: laptop.proxy.stall(STALL_S), options=PATIENT, survives=True),
    "half-open": Fault(for_a_while(lambda laptop: laptop.proxy.silence())),
    "10 KB/s": Fault(slow, options=PATIENT, survives=True, mend=fast),
    "server restarted": Fault(restart_server, mend=listens),
    "garbage": Fault(for_a_while(lambda laptop: laptop.proxy.garble())),
    "another host key": Fault(
        become_another, mend=become_itself, codes=frozenset({*BROKEN, HostKeyChangedError.exit_code})
    ),
}
# How often each meets each of them, with `--long`.
COUNTS: dict[type[Work], int] = {
    work.Push: 1,
    work.Stage: 2,
    work.Job: 2,
    work.Pull: 2,
    work.Sweep: 1,
    work.Keep: 1,
}


def is_long(kind: type[Work], name: str) -> list[pytest.MarkDecorator]:
    """Marks of what is only done with `--long`."""
    return [] if (kind, name) == (work.Stage, "reset") else [pytest.mark.long]


CASES = [
    pytest.param(
        kind, name, marks=[pytest.mark.fault("line", name), *is_long(kind, name)], id=f"{name}-{kind.title}"
    )
    for kind in COUNTS
    for name in FAULTS
]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_the_line(kind: type[Work], name: str, laptop: Laptop, dice: random.Random, made: Made) -> None:
    some, fault = kind(laptop, dice), FAULTS[name]
    if fault.survives:
        # Little of it, at 10 KB/s.
        shrink(some)
    for _ in range(rounds(COUNTS[kind], 1)):
        some.begin()
        laptop.lead_through(laptop.proxy.port, fault.options)
        try:
            with laptop.proxy.slow(min(some.rate_bytes_s, 5e6)):
                ended = interrupted(some, fault, dice)
        finally:
            fault.mend(laptop)
        laptop.proxy.count()
        laptop.lead_through(laptop.proxy.port)
        made(f"{name} in {some.title}")
        if fault.survives:
            assert ended.code == 0, ended
        elif ended.code:
            assert ended.code in fault.codes, ended
            assert "the connection" in ended.said or "error:" in ended.said, ended
        some.check()
        again = laptop.finish(laptop.start(*some.words, argv=some.argv))
        assert again.code == 0, again
        some.check()
        some.finished()


def interrupted(some: Work, fault: Fault, dice: random.Random) -> Ended:
    """Do it once, and let the fault meet it at a random moment after the login."""
    laptop = some.laptop
    laptop.proxy.count()
    process = laptop.start(*some.words, argv=some.argv)
    happened = threading.Event()

    def act() -> None:
        time.sleep(dice.uniform(0.0, 1.5))
        fault.act(laptop)
        happened.set()

    # By the first 4 kB it has begun to log in.
    laptop.proxy.when(4_000, act)
    ended = laptop.finish(process)
    assert happened.wait(STALL_S + 30)
    return ended


def shrink(some: Work) -> None:
    for name, size in (("size_bytes", 100_000), ("large_bytes", 50_000), ("files", 6)):
        if hasattr(some, name):
            setattr(some, name, size)
    if isinstance(some, work.WithRun):
        some.script = "echo x >file1; head -c 50000 /dev/urandom >large"


def answers(small_laptop: Laptop) -> Iterator[Callable[[str], None]]:
    """Puts a script in the place of sbatch, by the PATH of the user's login shell."""

    def put(script: str) -> None:
        text = shlex.quote(f"#!/bin/bash\n{script}\n")
        small_laptop.there(f"cd ~researcher && printf %s {text} >fake/sbatch && chmod 755 fake/sbatch")

    small_laptop.there(
        "cd ~researcher && mkdir -p fake && echo '. ~/.profile; PATH=~/fake:$PATH' >.bash_profile"
    )
    yield put
    small_laptop.there("cd ~researcher && rm -rf fake .bash_profile")


sbatch = contextmanager(answers)
# What becomes of the line, or of the command, between sbatch's acceptance and its answer.
BETWEEN = ["reset", "half-open", "server restarted", "garbage", "another host key"]
ANSWERS = {
    "no answer": '/usr/bin/sbatch "$@" >/dev/null; exit 1',
    "garbage": '/usr/bin/sbatch "$@" >/dev/null; head -c 3000 /dev/urandom; exit 0',
    "a page of HTML": "/usr/bin/sbatch \"$@\" >/dev/null; echo '<html>504 Gateway Timeout</html>'",
    "half of an answer": 'id=$(/usr/bin/sbatch "$@"); printf %s "Submitted batch jo"',
    "an error": '/usr/bin/sbatch "$@" >/dev/null; exit 75',
}


@pytest.mark.fault("line", "between sbatch's acceptance and its answer")
@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=() if one == BETWEEN[0] else pytest.mark.long) for one in BETWEEN],
)
def test_between_acceptance_and_answer(name: str, laptop: Laptop, dice: random.Random, made: Made) -> None:
    some, fault = work.Job(laptop, dice), FAULTS[name]
    with sbatch(laptop) as put:
        put('/usr/bin/sbatch "$@"; code=$?; sleep 6; exit $code')
        for _ in range(rounds(2, 1)):
            some.begin()
            known, before = set(laptop.runs()), set(some.jobs())
            laptop.proxy.count()
            laptop.lead_through(laptop.proxy.port, fault.options)
            process = laptop.start(*some.words)
            wait_until(lambda before=before: set(some.jobs()) - before, "the job")  # type: ignore[misc]
            time.sleep(dice.uniform(0, 1.0))
            fault.act(laptop)
            ended = laptop.finish(process)
            fault.mend(laptop)
            laptop.proxy.count()
            laptop.lead_through(laptop.proxy.port)
            made(f"{name} after acceptance")
            assert ended.code in BROKEN | {HostKeyChangedError.exit_code}, ended
            assert "Do not submit it again" in ended.said, ended
            some.check()
            [new] = [run for run in laptop.runs().values() if run.run_id not in known]
            assert new.job_id is not None


@pytest.mark.long
@pytest.mark.fault("line", "sbatch answers garbage")
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_is_none(answer: str, laptop: Laptop, dice: random.Random, made: Made) -> None:
    some = work.Job(laptop, dice)
    some.begin()
    with sbatch(laptop) as put:
        put(ANSWERS[answer])
        known = set(laptop.runs())
        ended = laptop.run(*some.words, code=None)
    made(answer)
    assert ended.code == 0 or re.search("not known; .*status.* finds out", ended.said), ended
    some.check()
    [new] = [run for run in laptop.runs().values() if run.run_id not in known]
    assert new.job_id is not None
