"""`logout` of a site, where it cannot be found out how that is reached. The kept logins are stand-ins."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import UsageError
from slipway.multiplex.kept import Kept
from slipway.project import Project
from slipway.steps import login
from slipway.steps.session import Session

KEPT = Kept(
    path=Path("/run/one.login"),
    target="me@box:22",
    names=("box", "mine"),
    since=0.0,
    until=None,
    idle_s=0.0,
    keep_s=60.0,
    users=0,
)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "cluster").mkdir()
    text = "login: {host: box, ssh_config: box/ssh_config}\npaths: {scratch: /s}\n"
    (tmp_path / "cluster" / "box.yaml").write_text(text)
    return Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))


@pytest.mark.parametrize(("names", "count"), [(("box", "mine"), 1), (("hpc",), 0)])
def test_a_box_that_is_down(
    session: Session, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], count: int
) -> None:
    """What was used by its name is ended, and nothing else."""
    kept, ended = replace(KEPT, names=names), list[Path]()
    monkeypatch.setattr(login, "list_kept", lambda: [kept])
    monkeypatch.setattr(login, "end_kept", lambda path: ended.append(path) or True)
    assert login.log_out(session, "box") == [kept] * count
    assert ended == [kept.path] * count


def test_a_site_that_there_is_not(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "list_kept", lambda: [KEPT])
    with pytest.raises(UsageError, match="there is no site 'bax'"):
        login.log_out(session, "bax")
