"""Published datasets on the box: fetched by its login node, as if staged; listed, removed."""

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.errors import RemoteError, UsageError
from slipway.project import Project
from slipway.site_file import load_site
from slipway.steps.box import box_down, box_up
from slipway.steps.data import stage
from slipway.steps.datasets import fetch_at, list_data, remove_at
from slipway.steps.session import Session
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
SITE = load_site([ROOT / "cluster"], "box")
FILES = {"a/rgb/1.png": b"one", "a/rgb/2.png": b"two", "a/rgb.txt": b"1 rgb/1.png\n2 rgb/2.png\n"}
PORT = 8765
# The box's login node has the two archives at an address of its own.
SERVE = f"""
cd "$HOME/web" || exit
nohup python3 -m http.server {PORT} --bind 127.0.0.1 >/dev/null 2>&1 </dev/null &
for _ in $(seq 100); do
    python3 -c 'import socket; socket.create_connection(("127.0.0.1", {PORT}))' 2>/dev/null && exit
    sleep 0.1
done
exit 1
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    top = tmp_path_factory.mktemp("datasets")
    (top / "cluster").mkdir()
    for name in ("box.yaml", "datasets.yaml"):
        (top / "cluster" / name).write_text((ROOT / "cluster" / name).read_text())
    project = Project(root=ROOT, state=top / "state", results=top / "results")
    session = Session(project=project)
    box_up(session)
    try:
        on_box(session, "mkdir -p web && tar -C web -xf -", packed({"a.tgz": archive(FILES)}))
        on_box(session, SERVE)
        content = {
            "lab": {
                "layout": "tum",
                "base": f"http://127.0.0.1:{PORT}/",
                "sequences": {"a": "a.tgz", "b": "b.tgz", "c": "http://127.0.0.1:1/c.tgz"},
            }
        }
        (top / "cluster" / "datasets.yaml").write_text(json.dumps(content))
        yield Session(project=Project(root=top, state=top / "state", results=top / "results"))
    finally:
        box_down(session, purge=False)


def on_box(session: Session, command: str, stdin: bytes = b"") -> str:
    config = session.project.state / "box" / "ssh_config"
    argv = ["ssh", "-F", str(config), "box", command]
    done = subprocess.run(argv, input=stdin, check=True, capture_output=True, timeout=PATIENCE_S)
    return done.stdout.decode()


def packed(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def archive(files: dict[str, bytes]) -> bytes:
    return packed(files, "w:gz")


def test_the_login_node_fetches_it_as_if_it_was_staged(session: Session, tmp_path: Path) -> None:
    _, done = fetch_at(session, SITE, "lab", ["a"])
    assert (done.new, done.failed) == (["a"], [])
    there = "cd $SCRATCH/slipway/data && "
    assert on_box(session, f"{there}ls -A").split() == [".lab.sha256", "lab"]
    checked = on_box(session, f"{there}cd lab && sha256sum --strict -c ../.lab.sha256")
    assert checked.count(": OK\n") == 3
    for name, content in FILES.items():
        (tmp_path / "lab" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lab" / name).write_bytes(content)
    staged = stage(session, SITE, tmp_path / "lab", None)
    assert (staged.sent_files, staged.surplus) == (0, [])
    assert fetch_at(session, SITE, "lab", ["a"])[1].there == ["a"]
    listing = list_data(session, tmp_path / "none", SITE)
    assert listing.there is not None
    assert (listing.there["lab"].files, listing.there["lab"].size_bytes) == (3, 30)
    assert (session.project.staged / "box" / "lab").exists()


def test_what_the_server_or_the_network_has_not(session: Session) -> None:
    _, done = fetch_at(session, SITE, "lab", ["a", "b"])
    assert [name for name, _ in done.failed] == ["b"]
    assert "b.tgz: the server does not give it (exit code 22" in str(done.failed[0][1])
    with pytest.raises(RemoteError) as caught:
        fetch_at(session, SITE, "lab", ["c"])
    assert "does not reach 127.0.0.1 (exit code 7 of what fetches there). Fetch it on this machine" in str(
        caught.value
    )
    assert "`invoke stage data/lab --site box`" in str(caught.value)


def test_what_is_there_is_removed(session: Session) -> None:
    fetch_at(session, SITE, "lab", ["a"])
    assert list(remove_at(session, SITE, "lab", lambda decision: False)) == []
    (gone,) = remove_at(session, SITE, "lab", lambda decision: True)
    assert (gone.kind, gone.name, gone.files) == ("data", "lab", 3)
    assert on_box(session, "ls -A $SCRATCH/slipway/data").split() == []
    with pytest.raises(UsageError, match="no dataset 'lab' lies in scratch"):
        remove_at(session, SITE, "lab", lambda decision: True)
