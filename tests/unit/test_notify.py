"""Being told of a run's end: the webhook is a real HTTP server; notify-send is a stand-in that writes."""

import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConfigError, UsageError
from slipway.job.run import Status
from slipway.notify.pending import Pending, PendingStore
from slipway.notify.send import desktop_command
from slipway.notify.target import Target, parse_target, parse_targets
from slipway.profile import load_profile, record_values
from slipway.project import Project
from slipway.resources import Resources
from slipway.scheduler.base import State
from slipway.scheduler.choose import FIELDS
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from slipway.steps.session import Session
from slipway.steps.submit import with_mail
from slipway.steps.tell import tell_endings
from tests.unit.test_run import make_run
from tests.unit.test_terminal import ROOT
from tests.waiting import PATIENCE_S

RUN = "k3f9-cpu-20260131-142530"


@pytest.mark.parametrize(
    ("word", "target", "shown"),
    [
        ("mail", Target(kind="mail"), "mail"),
        ("mail:me+x@lab.example.org", Target(kind="mail", value="me+x@lab.example.org"), None),
        ("desktop", Target(kind="desktop"), "desktop"),
        (
            "https://hooks.slack.com/services/T0/B0/s3cret?x=1",
            Target(kind="webhook", value="https://hooks.slack.com/services/T0/B0/s3cret?x=1"),
            "webhook at hooks.slack.com",
        ),
    ],
)
def test_targets(word: str, target: Target, shown: str | None) -> None:
    assert parse_target(word) == target
    assert target.word == word
    assert target.shown == (shown or word)


@pytest.mark.parametrize(
    "word",
    [
        *("", "Mail", "mail:", "mail:me", "mail:a@b,c@d", "mail:-x y@z", "e-mail", "hooks.slack.com/s3cret"),
        *("https://", "https:///s3cret", "ftp://h/s3cret", "https://h:99999999/s3cret", "https://h/s3 cret"),
        *("https://h/s3cret\n", "https://[h/s3cret"),
    ],
)
def test_what_is_no_target_is_refused_and_not_repeated(word: str) -> None:
    with pytest.raises(ValueError, match=r"mail|address") as error:
        parse_target(word)
    assert "s3cret" not in str(error.value)


def test_each_is_told_once() -> None:
    assert len(parse_targets(["mail", "desktop", "mail"])) == 2


def profile_with(folder: Path, notify: str) -> Any:
    (folder / "env").mkdir()
    (folder / "env" / ".env.base").write_text(f"IMAGE=mine\nDOCKERFILE=Dockerfile\nNOTIFY={notify}\n")
    return load_profile(folder / "env", "base")


def test_a_profile_has_them_and_no_record_does(tmp_path: Path) -> None:
    profile = profile_with(tmp_path, "mail https://h.example.org/s3cret")
    assert [target.kind for target in profile.notify] == ["mail", "webhook"]
    assert "s3cret" not in json.dumps(record_values(profile, tmp_path))


def test_a_wrong_one_is_named_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.env\.base:3: NOTIFY: write mail, mail:ADDRESS") as error:
        profile_with(tmp_path, "ftp://h/s3cret")
    assert "s3cret" not in str(error.value)


def a_site(*, mail: bool) -> SlurmSite:
    return SlurmSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"), mail=mail)


def test_mail_is_slurms_own() -> None:
    wanted = FIELDS(time="10", sbatch=("--comment=mine",))
    with_it = with_mail(wanted, a_site(mail=True), parse_targets(["desktop", "mail:me@x.org"]))
    assert with_it == FIELDS(
        time="10", sbatch=("--mail-type=END,FAIL", "--mail-user=me@x.org", "--comment=mine")
    )
    # What the user says of it stands behind, and sbatch takes the last.
    own = with_mail(FIELDS(sbatch=("--mail-type=ALL",)), a_site(mail=True), parse_targets(["mail"]))
    assert own == FIELDS(sbatch=("--mail-type=END,FAIL", "--mail-type=ALL"))
    assert with_mail(wanted, a_site(mail=False), parse_targets(["desktop"])) == wanted


def test_a_site_without_mail_refuses_it_before_anything_is_sent() -> None:
    with pytest.raises(UsageError, match=r"--notify mail: hpc sends no mail \(mail: false in cluster/hpc"):
        with_mail(Resources(), a_site(mail=False), parse_targets(["mail"]))


class Webhook:
    """A server that answers with these codes, the last for ever; it keeps what came."""

    def __init__(self) -> None:
        self.codes = [200]
        self.posts: list[Any] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.posts.append(json.loads(body))
                time.sleep(0.2)  # Two who tell at once would both be here.
                self.send_response(webhook.codes[0] if len(webhook.codes) == 1 else webhook.codes.pop(0))
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/s3cret"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.close()


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".env.base").touch()
    return Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))


OVER = Status(state=State.FAILED, reason="program-error", exit_code=3, elapsed_s=723)


def keep(session: Session, *words: str, status: Status = OVER) -> PendingStore:
    session.store.save(replace(make_run(RUN), name="a<b", site="hpc", status=status))
    pending = PendingStore(session.project.state)
    pending.keep(RUN, Pending(targets=parse_targets(words)))
    return pending


def told(session: Session) -> list[str]:
    notes: list[str] = []
    tell_endings(session, notes.append)
    return notes


def test_an_end_is_told_once_and_no_earlier(session: Session, webhook: Webhook) -> None:
    pending = keep(session, webhook.url, status=Status(state=State.RUNNING))
    assert told(session) == []
    assert webhook.posts == []
    keep(session, webhook.url)
    for _ in range(3):
        assert told(session) == []
    text = f"{RUN} (a&lt;b) at hpc: FAILED, program-error, exit code 3 after 0:12:03"
    assert webhook.posts == [{"text": text}]
    assert pending.run_ids() == []
    assert [*(session.project.state / "notify").iterdir()] == []


def test_the_address_is_in_one_file_that_only_the_user_can_read(session: Session, webhook: Webhook) -> None:
    before = os.umask(0)
    try:
        keep(session, webhook.url)
    finally:
        os.umask(before)
    holding = [
        file for file in session.project.state.rglob("*") if file.is_file() and "s3cret" in file.read_text()
    ]
    assert [file.name for file in holding] == [f"{RUN}.json"]
    assert stat.S_IMODE(holding[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(holding[0].parent.stat().st_mode) == 0o700


def test_two_watchers_tell_it_once(session: Session, webhook: Webhook) -> None:
    """Processes, as two terminals have them."""
    keep(session, webhook.url)
    program = (
        "import sys; from pathlib import Path; from slipway.project import Project\n"
        "from slipway.steps.session import Session; from slipway.steps.tell import tell_endings\n"
        "root = Path(sys.argv[1])\n"
        "tell_endings(Session(project=Project(root=root, state=root / 'state', results=root)))"
    )
    command = [sys.executable, "-c", program, str(session.project.root)]
    for process in [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]:
        assert process.wait(timeout=PATIENCE_S) == 0
    assert len(webhook.posts) == 1


def test_what_failed_is_tried_again_later(
    session: Session, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    pending = keep(session, webhook.url)
    webhook.codes = [503, 429, 200]
    (note,) = told(session)
    assert note == (
        f"the end of {RUN} (a<b) could not be told, webhook at 127.0.0.1: HTTP 503 Service Unavailable; "
        "a later `invoke status` tries again"
    )
    assert told(session) == []  # It is too early.
    now += 61
    assert "HTTP 429" in told(session)[0]
    now += 61
    assert told(session) == []
    now += 61
    assert told(session) == []
    assert (len(webhook.posts), pending.run_ids()) == (3, [])


@pytest.mark.parametrize(("code", "said"), [(404, "HTTP 404 Not Found"), (302, "HTTP 302 Found")])
def test_what_is_refused_for_good_is_not_tried_again(
    session: Session, webhook: Webhook, code: int, said: str
) -> None:
    pending = keep(session, webhook.url)
    webhook.codes = [code]
    (note,) = told(session)
    assert note.endswith(f"{said}; it is not tried again")
    assert pending.run_ids() == []
    assert len(webhook.posts) == 1  # No redirect is followed.


def test_where_nobody_listens_the_address_is_not_told(session: Session, webhook: Webhook) -> None:
    pending = keep(session, webhook.url)
    webhook.close()
    (note,) = told(session)
    assert "webhook at 127.0.0.1: ConnectionError; is the address right" in note
    assert "s3cret" not in note
    assert pending.run_ids() == [RUN]


def test_a_notice_on_the_desktop(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "notify-send"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done >>{tmp_path}/shown\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    monkeypatch.setattr(sys, "platform", "linux")
    keep(session, "desktop")
    assert told(session) == []
    text = f"{RUN} (a<b) at hpc: FAILED, program-error, exit code 3 after 0:12:03"
    assert (tmp_path / "shown").read_text().splitlines() == ["--", "Slipway", text]


def test_without_a_program_for_it_that_is_said(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "platform", "linux")
    keep(session, "desktop")
    (note,) = told(session)
    assert "this machine has no notify-send" in note
    assert told(session) == []


def test_on_a_mac_the_text_is_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    command = desktop_command('a" & do shell script "x')
    assert command is not None
    assert command[0] == "osascript"
    assert command[-2:] == ["Slipway", 'a" & do shell script "x']


def test_what_has_no_record_is_forgotten_after_a_day(session: Session) -> None:
    pending = PendingStore(session.project.state)
    pending.keep(RUN, Pending(targets=parse_targets(["desktop"])))
    told(session)
    assert pending.run_ids() == [RUN]  # It may be that its record is not written yet.
    file = session.project.state / "notify" / f"{RUN}.json"
    os.utime(file, (time.time() - 90000,) * 2)
    told(session)
    assert pending.run_ids() == []


def test_a_file_that_is_damaged_stops_nobody(session: Session) -> None:
    keep(session, "desktop")
    (session.project.state / "notify" / f"{RUN}.json").write_text('{"targets": 5}')
    assert told(session) == []
    assert told(session) == []
