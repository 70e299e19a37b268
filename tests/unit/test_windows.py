"""What a laptop with Windows does needs nothing that only POSIX has."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from tests.mistakes import ROOT
from tests.waiting import PATIENCE_S

SITE = """
login: {host: 127.0.0.1, port: PORT, user: me}
scheduler: slurm
paths: {scratch: /scratch}
"""


def test_all_up_to_the_login_works_without_posix(tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound and not listening: it refuses
        closed.bind(("127.0.0.1", 0))
        make_checkout(tmp_path, closed.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "tests.unit.windows_program"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SLIPWAY_STATE": "state", "HOME": str(tmp_path)}
            | {"USER": "me", "USERNAME": "me", "LOGNAME": "me"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    assert "nothing listens on port" in done.stderr
    assert done.stdout.splitlines() == [
        "imported True",
        "locked first, free False",
        "locked second",
        "abandoned [] True",
        "left []",
        "asked 123 by Code: ",
        "asked secret",
        "key True, the agent at agent cannot be asked: Python has no such sockets on this system, user None",
        "snapshot 1 None",
        "There are no runs yet; `invoke job -- …` starts one.",
        "status 0",
        "job 78",
    ]


def make_checkout(folder: Path, port: int) -> None:
    for name in ("cluster", "env", "code", "state/tmp"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "tasks.py", folder)
    shutil.copy(ROOT / "cluster" / "job.sh", folder / "cluster")
    shutil.copytree(ROOT / "cluster" / "job", folder / "cluster" / "job")
    for name in (".env.example", ".env.base"):
        shutil.copy(ROOT / "env" / name, folder / "env")
    (folder / "code" / "main.py").write_text("print(1)\n")
    (folder / "cluster" / "hpc.yaml").write_text(SITE.replace("PORT", str(port)))
    (folder / "env" / ".env.lab").write_text("IMAGE=lab\nPROGRAM=python3\nCODE_DIR=code\n")
