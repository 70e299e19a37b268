"""Being told of an end: SLURM's real mail, by a program that writes down what it gets, and a real webhook."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from slipway.notify.target import parse_targets
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.submit import keep_notify, with_mail
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import INVOKE, ROOT
from tests.unit.test_notify import Webhook
from tests.waiting import PATIENCE_S, wait_until

CONFIG, PROGRAM, MAILS = "/etc/slurm/slurm.conf", "/usr/local/bin/mailprog", "/tmp/mails"


@pytest.fixture
def mails(small: SmallImageBox) -> Iterator[None]:
    """The box has a program for mail, as long as the test lasts."""
    script = f'printf "#!/bin/sh\\necho \\"\\$*\\" >>{MAILS}\\n" >{PROGRAM}; chmod 755 {PROGRAM}'
    small.as_root("sh", "-c", script)
    small.as_root("sh", "-c", f"sed -i s#^MailProg=.*#MailProg={PROGRAM}# {CONFIG} && scontrol reconfigure")
    yield
    small.as_root("sh", "-c", f"sed -i s#^MailProg=.*#MailProg=/bin/true# {CONFIG} && scontrol reconfigure")


def test_slurm_sends_mail_and_one_of_two_who_look_tells_the_webhook(
    small: SmallImageBox, mails: None
) -> None:
    webhook, session = Webhook(), small.session
    wanted = with_mail(SlurmResources(), small.choice.site, parse_targets(["mail:me@lab.example.org"]))
    with small.connect() as host:
        run = small.submit(host, "sh", "-c", "sleep 4; exit 3", wanted=wanted)
    keep_notify(session, run, parse_targets([webhook.url]))
    state = {"SLIPWAY_STATE": str(session.project.state), "SLIPWAY_RESULTS": str(session.project.results)}
    watchers = [
        subprocess.Popen(
            [*INVOKE, *words, run.run_id],
            cwd=ROOT,
            env={**os.environ, **state},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        for words in (("status", "--watch", "--interval", "1"), ("logs", "--follow"))
    ]
    for watcher, code in zip(watchers, (0, 3), strict=True):
        printed, _ = watcher.communicate(timeout=PATIENCE_S)
        assert watcher.returncode == code, printed
        assert printed.splitlines()[-1].endswith(f"{run.run_id}  FAILED  program-error  exit code 3")
    webhook.close()
    (post,) = webhook.posts
    assert re.fullmatch(
        rf"{run.run_id} at {run.site}: FAILED, program-error, exit code 3 after 0:\d\d:\d\d", post["text"]
    )
    wait_until(lambda: small.is_so(f"test -s {MAILS}"), "a mail")
    mail = small.as_root("cat", MAILS)
    assert f"Job_id={run.job_id} Name={run.run_id} Failed" in mail
    assert mail.endswith("ExitCode 3 me@lab.example.org\n")
    # The address of the webhook has gone nowhere.
    assert small.on_box(f"grep -rl s3cret {run.run_dir} || true") == ""
    left = subprocess.run(["grep", "-rl", "s3cret", session.project.state], capture_output=True, check=False)
    assert left.stdout == b""
