"""Getting on hosts without a password, and from each to each: real sshds, and the ssh that is on them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.access.machine import HERE, Way
from slipway.errors import LoginError, SlipwayError
from slipway.project import Project
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from slipway.ssh.login import close, log_in
from slipway.ssh.prompt import NoPrompt
from slipway.ssh.target import resolve_target
from slipway.steps.session import Session
from slipway.steps.ssh_setup import Setup
from tests.integration.inside import end_inside, run_inside
from tests.integration.sshd_containers import PASSWORD, Person, SshdContainers, code, open_sshds

USER = "password"
SSH = f"/home/{USER}/.ssh"
# No newline at its end, as editors leave it.
THEIRS = "# mine\nssh-rsa AAAA somebody"


@pytest.fixture(scope="module")
def sshds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdContainers]:
    with open_sshds(tmp_path_factory.mktemp("state")) as sshds:
        yield sshds


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def member(sshds: SshdContainers, host: str, user: str = USER, **options: str) -> Login:
    login = sshds.login(user, host, **options)
    return login.model_copy(update={"address": f"{host}:22"})


def setup(sshds: SshdContainers, person: Person, *logins: Login, yes: bool = False) -> Setup:
    project = Project(root=sshds.state, state=sshds.state, results=sshds.state)
    site = SlurmSite(name="lab", login=logins[0], hosts=logins[1:], paths=Paths(scratch="/s"))
    return Setup(session=Session(project=project, prompt=person), site=site, yes=yes)


def inside(sshds: SshdContainers, host: str, command: str) -> str:
    done = run_inside(sshds.containers[host], "su", "-s", "/bin/sh", USER, "-c", command)
    text: str = done.output.decode()
    return text


def snapshot(sshds: SshdContainers, host: str) -> str:
    """All that is in the user's folder, with modes and contents."""
    return inside(sshds, host, f"cd {SSH} && ls -lA --time-style=+ && for f in *; do echo; cat $f; done")


def works(ways: list[Way]) -> dict[tuple[str, str], bool]:
    return {(way.start, way.end): way.problem is None for way in ways}


def asks(count: int) -> Person:
    return Person([("password", PASSWORD)] * count)


def test_each_host_gets_on_each_and_all_of_it_goes_again(sshds: SshdContainers) -> None:
    # The key that it puts on the one opens the way to the other.
    logins = [member(sshds, "gate"), member(sshds, "inner", ProxyJump=f"{USER}@gate")]
    inside(sshds, "inner", f"printf '{THEIRS}' >{SSH}/authorized_keys; chmod 640 {SSH}/authorized_keys")
    before = {host: snapshot(sshds, host) for host in ("gate", "inner")}
    first = setup(sshds, person := asks(2), *logins)
    ways = first.run()
    assert first.error(ways) is None, ways
    pairs = [(start, end) for start in ("gate", "inner") for end in ("gate", "inner")]
    assert works(ways) == dict.fromkeys([(HERE, "gate"), (HERE, "inner"), *pairs], True)
    assert len(person.asked) == 2
    assert inside(sshds, "inner", f"cat {SSH}/authorized_keys").endswith(THEIRS)
    # The banner comes first.
    assert inside(sshds, "gate", "ssh -o BatchMode=yes -o UpdateHostKeys=no inner hostname").endswith(
        inside(sshds, "inner", "hostname")
    )

    after = {host: snapshot(sshds, host) for host in before}
    again = setup(sshds, Person(), *logins)
    assert again.error(again.run()) is None
    assert {host: snapshot(sshds, host) for host in before} == after

    undone = setup(sshds, Person(), *logins)
    undone.undo()
    assert undone.error() is None
    assert {host: snapshot(sshds, host) for host in before} == before


def test_what_another_machine_has_put_there_stays(sshds: SshdContainers, tmp_path: Path) -> None:
    """Two laptops of one user: to undo it on one locks out none."""
    before = snapshot(sshds, "gate")
    first, second = (member(sshds, "gate", IdentityFile=str(tmp_path / name)) for name in ("a", "b"))
    words = [("Passphrase for the new key", ""), ("password", PASSWORD)]
    for login in (first, second):
        work = setup(sshds, Person([*words]), login)
        assert work.error(work.run()) is None
    for login in (first, second):
        close(log_in(resolve_target(login, sshds.state), NoPrompt()))
        undo = setup(sshds, Person([("Remove the key", "yes")]), login)
        undo.undo()
        assert undo.error() is None
    assert snapshot(sshds, "gate") == before


@pytest.mark.long
def test_a_host_that_fails_stops_none_of_the_others(sshds: SshdContainers) -> None:
    logins = [member(sshds, host) for host in ("inner", "gate", "deep")]
    lost = Login(host="nowhere.invalid", user=USER, ssh_config=logins[1].ssh_config)
    work = setup(sshds, asks(3), *logins, lost)
    ways = works(found := work.run())
    # No network has both.
    assert [pair for pair in ways if "gate" in pair and "deep" in pair and ways[pair]] == []
    assert ways["inner", "deep"]
    assert ways["deep", "inner"]
    assert ways["gate", "inner"]
    assert isinstance(work.error(found), SlipwayError)
    undo = setup(sshds, Person(), *logins)
    undo.undo()
    assert undo.error() is None
    assert end_inside(sshds.containers["deep"], "test", "-e", f"{SSH}/id_ed25519") != 0


def test_a_key_is_made_here_with_a_passphrase_and_the_host_is_pinned(
    sshds: SshdContainers, tmp_path: Path
) -> None:
    key, known = tmp_path / "new" / "id", tmp_path / "known"
    login = member(sshds, "gate", IdentityFile=str(key), UserKnownHostsFile=str(known))
    words = [("Passphrase for the new key", "words"), ("same passphrase", "words")]
    person = Person(
        [*words, ("publishes", "yes"), ("password", PASSWORD), ("Passphrase of the key", "words")]
    )
    work = setup(sshds, person, login)
    assert work.error(work.run()) is None
    assert key.stat().st_mode & 0o777 == 0o600
    assert known.read_text().endswith("slipway:lab:known\n")
    undo = setup(sshds, Person([("Passphrase of the key", "words"), ("Remove the key", "yes")]), login)
    undo.undo()
    assert undo.error() is None
    assert [*key.parent.iterdir()] == []
    assert known.read_text() == ""


def test_what_sshd_refuses_for_its_modes_is_named(sshds: SshdContainers) -> None:
    login = member(sshds, "gate")
    # Debian's sshd takes a folder that the user's own group may write to.
    inside(sshds, "gate", f"chmod o+w /home/{USER}")
    work = setup(sshds, asks(1), login)
    (way,) = work.run()
    error = work.error([way])
    assert isinstance(error, LoginError)
    assert f"`chmod go-w /home/{USER}`" in str(error)
    inside(sshds, "gate", f"chmod go-w /home/{USER}")
    close(log_in(resolve_target(login, sshds.state), NoPrompt()))
    setup(sshds, Person(), login).undo()


def test_where_a_code_is_asked_for_besides_the_key_is_there_already(sshds: SshdContainers) -> None:
    work = setup(sshds, Person([("Verification code", code)]), member(sshds, "gate", "two"))
    (way,) = work.run()
    assert way.problem is None
    assert work.error([way]) is None


@pytest.mark.long
def test_login_shells_of_all_kinds_that_print(sshds: SshdContainers) -> None:
    user = "with-tcsh"
    for host in ("gate", "inner"):
        command = f"echo 'echo Welcome' >/home/{user}/.tcshrc; chown {user} /home/{user}/.tcshrc"
        assert end_inside(sshds.containers[host], "sh", "-c", command) == 0
    work = setup(sshds, Person(), member(sshds, "gate", user), member(sshds, "inner", user))
    ways = work.run()
    assert work.error(ways) is None, ways
    undo = setup(sshds, Person(), member(sshds, "gate", user), member(sshds, "inner", user))
    undo.undo()
    assert undo.error() is None
    assert end_inside(sshds.containers["gate"], "test", "-e", f"/home/{user}/.ssh/id_ed25519") != 0


def test_what_a_jump_host_asks_is_asked_once(sshds: SshdContainers) -> None:
    """The key that was put behind it is tried by the same connection to it."""
    login = member(sshds, "inner", ProxyJump=f"{USER}@gate")
    work = setup(sshds, person := asks(2), login)
    assert work.error(work.run()) is None
    assert ["@127.0.0.1's" in prompt for prompt in person.asked] == [True, False]
    undo = setup(sshds, asks(1), login)
    undo.undo()
    assert undo.error() is None
