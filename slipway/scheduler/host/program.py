"""The queue's program, as it travels to the host, and what it is asked there."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.jsontext import load_json

MARK = "slipway-queue "
_PACKAGE = "slipway_queue"
_START = f"import sys\nfrom {_PACKAGE}.program import main\nsys.exit(main(sys.argv[1:]))\n"
# The first one that is there and new enough.
_FIND = """for name in python3 /usr/libexec/platform-python python3.13 python3.12 python3.11 python3.10 \\
    python3.9 python3.8 python3.7 python3.6 python; do
    found=$(command -v "$name") || continue
    "$found" -c 'import sys; sys.exit(sys.version_info < (3, 6))' </dev/null >/dev/null 2>&1 || continue
    exec "$found" -ES "$@"
done
echo "no Python from 3.6 on was found, which the queue needs; install one, or load it in the login shell" >&2
exit 1
"""
# Keeps the program where what runs beside a job is started from; another Slipway has another name there.
_BOOT = """
import base64, os, sys
digest, content = sys.argv[1:3]
state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
folder = os.path.join(state, "slipway", "queue")
file = os.path.join(folder, "program-" + digest + ".zip")
try:
    if not os.path.exists(file):
        os.makedirs(folder, 0o700, exist_ok=True)
        part = file + "." + str(os.getpid()) + ".part"
        with open(part, "wb") as out:
            out.write(base64.b64decode(content))
        os.replace(part, file)
except OSError as error:
    sys.exit("the queue's program cannot be written: " + str(error))
os.execv(sys.executable, [sys.executable, "-ES", file] + sys.argv[3:])
"""
# No clock's time: the same program has the same bytes.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


@cache
def packed_program() -> bytes:
    """The program as one zip file, which Python runs as it is."""
    folder = Path(__file__).parent / "there"
    files = {f"{_PACKAGE}/{file.name}": file.read_bytes() for file in sorted(folder.glob("*.py"))}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"__main__.py": _START.encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), text, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def queue_command(*words: str) -> list[str]:
    """The argv of the queue's program, in a login shell.

    Args:
        words: what it is asked; see ``there/program.py``.
    """
    content = packed_program()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return ["sh", "-c", _FIND, "slipway", "-c", _BOOT, digest, base64.b64encode(content).decode(), *words]


def ask(host: Host, *words: str) -> Mapping[str, Any]:
    """Ask the queue.

    Raises:
        RemoteError: it cannot answer, and says why.
        ParseError: the answer was cut off.
        SshError: the connection was lost.
    """
    result = host.run_in_login_shell(queue_command(*words), timeout_s=120)
    if not result.ok:
        raise RemoteError(
            f"{host.target}: the queue does not answer: {explain(result.stderr, result.exit_code)}"
        )
    return parse_answer(result.stdout)


def explain(stderr: str, exit_code: int) -> str:
    """Why the program failed, in a line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"its exit code is {exit_code}"


def parse_answer(stdout: str) -> Mapping[str, Any]:
    """Read the line behind the mark; a login shell may print more.

    Raises:
        ParseError: there is none, or it is no JSON.
    """
    lines = [line for line in stdout.splitlines() if line.startswith(MARK)]
    if not lines:
        raise ParseError(f"the queue printed {stdout[-200:]!r}; expected a line that begins with {MARK!r}")
    try:
        answer = load_json(lines[-1].removeprefix(MARK))
    except ValueError as error:
        raise ParseError(f"the queue's answer is no JSON: {error}") from error
    if not isinstance(answer, dict):
        raise ParseError(f"the queue printed {lines[-1][:200]!r}; expected an object")
    return answer


def as_word(value: Mapping[str, Any]) -> str:
    """A value as the word of an argv that it travels in."""
    return json.dumps(value, sort_keys=True)
