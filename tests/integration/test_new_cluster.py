"""docs/cluster.md, done as it says, on a cluster that is built otherwise than the box."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.image.engine import engine
from tests.documents import ROOT, make_reader, read_blocks
from tests.integration.other_cluster import JUMP, Person, other_cluster
from tests.integration.sshd_containers import PASSWORD, code
from tests.waiting import PATIENCE_S

# What the page's questions are answered; Return takes what is proposed.
ANSWERS = [
    (r"\(yes, or the fingerprint\) $", "yes"),
    (r"[Pp]assword: $", PASSWORD),
    (r"code: $", code),
    (r"\]: $", ""),
]


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Person]:
    """Somebody with an empty folder, and in whose ~/.ssh/config the jump host's name leads to a container."""
    name = "newcomer"
    (tmp_path / "cluster").mkdir()
    with other_cluster(tmp_path / "cluster") as port:
        runtime = tmp_path / "runtime"
        runtime.mkdir(mode=0o700)
        reader = make_reader(tmp_path, name, XDG_RUNTIME_DIR=str(runtime))
        names = {f"127.0.0.1:{port}": f"{JUMP}:22", "127.0.0.1": JUMP}
        person = Person(reader.folder, reader.environment, answers=ANSWERS, names=names)
        person.timeout_s = 2 * PATIENCE_S
        config = tmp_path / "home" / ".ssh" / "config"
        config.parent.mkdir(mode=0o700)
        config.write_text(f"Host {JUMP}\n    HostName 127.0.0.1\n    Port {port}\n")
        try:
            yield person
        finally:
            person.run("slipway logout")
            if engine().images.list(name):
                engine().images.remove(f"{name}:latest", force=True)


@pytest.mark.long
def test_a_new_cluster_goes_as_the_page_says(newcomer: Person) -> None:
    home = Path(newcomer.environment["HOME"])
    for block in read_blocks(ROOT / "docs" / "cluster.md"):
        if block.title.startswith("~/"):
            with (home / block.title[2:]).open("a") as file:
                file.write(block.text)
        else:
            newcomer.do(block)
    # What the login leaves behind asks nobody again.
    asked = [shown for shown in newcomer.shown if "Verification code:" in shown]
    assert [shown.split()[2] for shown in asked] == ["init"]
