"""Ports of this machine that lead to a job's node, and one command on the login node."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from slipway.job.run import Run
from slipway.scheduler.base import State
from slipway.steps import tunnel as step
from slipway.steps.tunnel import TunnelRequest, tunnel
from slipway.tunnel.port import PortPair
from tests.integration.cuttable_proxy import CuttableProxy
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import ROOT
from tests.waiting import PATIENCE_S, wait_until

# As many bytes as more than one window holds.
PAGE = r"""
use IO::Socket::INET;
$SIG{PIPE} = "IGNORE";
my @place = (LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], ReuseAddr => 1);
my $server = IO::Socket::INET->new(@place, Listen => 5) or die $!;
while (my $client = $server->accept) {
    while (<$client>) { last if /^\r?\n$/ }
    print $client "HTTP/1.0 200 OK\r\n\r\n$ENV{SLIPWAY_RUN}\n", "x" x 3000000;
    close $client;
}
"""


@pytest.fixture
def serving(small: SmallImageBox) -> Iterator[Callable[[int], Run]]:
    """Submits jobs that serve a page at a port of their node."""
    runs = []

    def submit(port: int) -> Run:
        with small.connect() as remote:
            runs.append(small.submit(remote, "perl", "-e", PAGE, str(port)))
        return runs[-1]

    yield submit
    with small.connect() as remote:
        remote.run_in_login_shell(["scancel", *(str(run.job_id) for run in runs)])


class Led:
    """A tunnel, in a thread of its own."""

    def __init__(self, small: SmallImageBox, run: Run, port: int) -> None:
        self.address = ""
        self.error: BaseException | None = None
        request = TunnelRequest(site=small.choice.site, ports=PortPair(remote=port, local=0), run=run)
        self.thread = threading.Thread(target=self.lead, args=(small, request), daemon=True)
        self.thread.start()

    def lead(self, small: SmallImageBox, request: TunnelRequest) -> None:
        try:
            tunnel(small.session, request, self.note)
        except BaseException as error:
            self.error = error

    def note(self, address: str) -> None:
        self.address = address

    def page(self) -> str:
        """The first line of the page; nothing where there is none."""
        assert self.error is None, self.error
        if not self.address:
            return ""
        with suppress(OSError), urllib.request.urlopen(f"http://{self.address}/", timeout=60) as answer:
            text: str = answer.read().decode()
            first, _, rest = text.partition("\n")
            return first if len(rest) == 3000000 else ""
        return ""

    def wait(self, run: Run) -> None:
        wait_until(lambda: self.page() == run.run_id, lambda: f"the page of {run}: {self.error!r}")


def test_a_page_of_a_job_is_seen_here_also_after_a_cut(
    small: SmallImageBox,
    serving: Callable[[int], Run],
    proxy: CuttableProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(step, "_ASK_S", 1.0)
    run = serving(8123)
    led = Led(small, run, 8123)
    led.wait(run)
    proxy.cut()
    led.wait(run)
    small.on_box(f"scancel {run.job_id}")
    led.thread.join(PATIENCE_S)
    assert not led.thread.is_alive()
    assert led.error is None


@pytest.fixture
def forbidding(small: SmallImageBox) -> Iterator[None]:
    """The box's sshd passes no connections on."""
    file = "/etc/ssh/sshd_config.d/0-forbid.conf"
    small.as_root("sh", "-c", f"echo 'AllowTcpForwarding no' >{file}; kill -HUP $(cat /run/sshd.pid)")
    yield
    small.as_root("sh", "-c", f"rm {file}; kill -HUP $(cat /run/sshd.pid)")


def test_where_sshd_forbids_it_a_program_on_the_node_does_it(
    small: SmallImageBox, serving: Callable[[int], Run], forbidding: None
) -> None:
    run = serving(8124)
    small.wait_for(run, State.RUNNING)
    led = Led(small, run, 8124)
    led.wait(run)
    threads = [threading.Thread(target=led.wait, args=(run,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert small.is_so("pgrep -f slipway-relay")
    small.on_box(f"scancel {run.job_id}")


def task(small: SmallImageBox, *words: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "SLIPWAY_STATE": str(small.session.project.state)}
    argv = [sys.executable, "-m", "invoke", *words]
    return subprocess.Popen(
        argv,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_without_a_run_it_is_the_login_node_and_ctrl_c_ends_it(small: SmallImageBox) -> None:
    process = task(small, "tunnel", "22:0", "--site", "box")
    assert process.stdout is not None
    address = re.fullmatch(rb"http://127\.0\.0\.1:(\d+)/\n", process.stdout.readline())
    assert address is not None
    with socket.create_connection(("127.0.0.1", int(address[1])), timeout=PATIENCE_S) as connection:
        assert connection.recv(8) == b"SSH-2.0-"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert b"The tunnel is closed" in errors


def test_one_command_has_our_streams_and_its_words_as_typed(small: SmallImageBox) -> None:
    content = bytes(range(256)) * 10_000
    script = 'printf "%s\\0" "$@"; cat; echo "to err" >&2; exit 7'
    words = ["a b", "$HOME", "`id`", "*", "", "--"]
    process = task(small, "ssh.run", "box", "--", "sh", "-c", script, "sh", *words)
    output, errors = process.communicate(content, timeout=PATIENCE_S)
    assert (process.returncode, errors) == (7, b"to err\n")
    assert output == b"".join(word.encode() + b"\0" for word in words) + content


def test_a_command_that_is_interrupted_is_ended(small: SmallImageBox) -> None:
    process = task(small, "ssh.run", "box", "--", "sh", "-c", "echo begun; sleep 4321; echo no")
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output) == (130, b"")
    wait_until(lambda: not small.is_so("pgrep -fx 'sleep 4321'"), "the end of `sleep`")
