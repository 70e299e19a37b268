"""Promises of docs/security.md that no other test holds, and that each of them names tests that there are."""

import ast
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.errors import ConfigError, HostError
from slipway.host.scratch import _MAKE
from slipway.local.copy import copy_out
from slipway.sftp.listing import list_folder
from slipway.sftp.wire import Entry, RefusedError
from slipway.site_file import load_site
from slipway.yaml_file import load_yaml, read_keys

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "security.md"
SHELLS = {"sh", "bash", "/bin/sh", "/bin/bash"}
# Scripts for a shell that are no constants of their module, and what is in them beside one.
PUT_TOGETHER = {
    "dask/folder.py": "one of two constants",
    "dataset/fetch_there.py": "cluster/fetch.sh",
    "editor/entry.py": "a constant",
    "host/inventory.py": "constants by names that are ours",
    "host/open_shell.py": "a constant and the limit in seconds",
    "job/join.py": "cluster/join.sh, words by shlex.join",
    "job/submit.py": "constants",
    "keep/copy.py": "cluster/keep.sh",
    "keep/removal.py": "a constant and constants by name",
    "here/channel.py": "what sshd would be told: slipway/host/command_line.py",
    "push/fromregistry.py": "a constant",
    "scheduler/pbs/queues.py": "marks, and commands by shlex.join",
    "scheduler/slurm/answers.py": "a mark drawn at random, and commands by shlex.join",
    "scheduler/slurm/array_limit.py": "a constant",
    "scheduler/slurm/commands.py": "constants",
    "scheduler/slurm/health.py": "options by shlex.join",
    "scheduler/slurm/limits.py": "constants",
    "scheduler/slurm/node.py": "a constant",
    "scheduler/slurm/nodes.py": "constants",
    "monitor/there/submit.py": "scripts of slipway/job/submission_lock.py",
    "steps/doctor.py": "slipway/doctor/program.py, which quotes",
    "steps/editor.py": "cluster/editor.sh",
    "tunnel/relay.py": "names of Python, which are ours",
    "transfer/basis.py": "constants",
    "transfer/rsync_tunnel.py": "what rsync has quoted",
    "scheduler/pbs/health.py": "constants",
}


def scripts(file: Path) -> Iterator[ast.expr]:
    """What stands behind ``-c`` of a shell, in the lists and tuples of a module."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.List | ast.Tuple):
            continue
        words = [one.value if isinstance(one, ast.Constant) else None for one in node.elts]
        for at, word in enumerate(words):
            if word in ("-c", "-lc") and SHELLS & {str(one) for one in words[:at]}:
                behind = next((one for one in node.elts[at:] if not _is_option(one)), None)
                if behind is not None:
                    yield behind
                break


def _is_option(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and str(node.value).startswith("-")


def _is_constant(node: ast.expr) -> bool:
    """A text, or a name in capitals, which is a module's constant."""
    if isinstance(node, ast.BinOp):
        return _is_constant(node.left) and _is_constant(node.right)
    if isinstance(node, ast.Name):
        return node.id.isupper()
    return isinstance(node, ast.Constant)


def test_names_and_paths_get_to_a_shell_as_words_and_never_as_text() -> None:
    found, count = set(), 0
    for file in sorted((ROOT / "slipway").rglob("*.py")):
        for script in scripts(file):
            count += 1
            if not _is_constant(script):
                found.add(file.relative_to(ROOT / "slipway").as_posix())
    assert count > 50
    assert found == set(PUT_TOGETHER)


def test_no_program_here_is_started_by_a_shell() -> None:
    for file in sorted((ROOT / "slipway").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                given = {word.arg: word.value for word in node.keywords}
                is_shell = given.get("shell", ast.Constant(value=False))
                assert not (isinstance(is_shell, ast.Constant) and is_shell.value), file
                assert ast.unparse(node.func) not in ("os.system", "os.popen", "eval", "exec"), file


def make(umask: int, *folders: Path) -> subprocess.CompletedProcess[str]:
    argv = ["sh", "-c", f'umask {umask:o}; exec sh -c "$0" "$@"', _MAKE, "slipway", *map(str, folders)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o775), (0o002, 0o775), (0o022, 0o755), (0o077, 0o700)])
def test_slipways_folders_in_scratch_are_not_everybodys_to_write_to(
    tmp_path: Path, umask: int, mode: int
) -> None:
    folder = tmp_path / "slipway" / "it's $(id)"
    done = make(umask, folder.parent, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert [one.stat().st_mode & 0o777 for one in (folder.parent, folder)] == [mode, mode]


def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs").chmod(0o1777)
    (tmp_path / "images").symlink_to("theirs")
    done = make(0o022, tmp_path / "images")
    assert done.returncode == 1
    assert "everybody may write to" in done.stderr
    assert "`chmod o-w" in done.stderr
    (tmp_path / "theirs").chmod(0o755)
    assert make(0o022, tmp_path / "images").returncode == 0


LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "more than 1,000,000 values"),
        ("a: &a\n  b: *a\n", "more than 1,000,000 values"),
        (f"a: {'[' * 60}", "nested too deeply"),
        ("".join(f"{' ' * n}a:\n" for n in range(60)), "nested too deeply"),
        (f"a: {'9' * 5000}\n", "the number is too long"),
        ("a: 1\nb: 2\na: 3\n", "a is there twice"),
        ("login:\n  host: a\n  host: b\n", "host is there twice"),
        ("a: 2026-02-31\n", "'2026-02-31' cannot be read as its kind, timestamp"),
        ("a: !!bool maybe\n", "cannot be read as its kind, bool"),
        ('a: "\\ud800"\n', "half of a character"),
        ("a: !!python/object/apply:os.system [id]\n", "could not determine a constructor"),
    ],
)
def test_yaml_is_safe_and_has_bounds(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)) as refused:
        read_keys(file, "expected keys")
    assert str(refused.value).startswith(f"{file}:")
    assert len(str(refused.value)) < 400


def test_yaml_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    with file.open("wb") as content:
        content.truncate((8 << 20) + 1)
    with pytest.raises(ConfigError, match="it is larger than 8 MiB"):
        read_keys(file, "expected keys")


def test_what_people_write_is_still_read(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 007}\nb: {<<: *a, x: 2}\nc: [2026-01-31, 1_000, 1:30, .5, yes, ~]\r\nd: |\n  é\n"
    whole = load_yaml(text)
    assert whole["b"] == {"x": 2, "y": 7}
    assert whole["c"][1:] == [1000, 90, 0.5, True, None]
    assert load_yaml(text, as_text=True)["c"] == ["2026-01-31", "1_000", "1:30", ".5", "yes", "~"]
    rows = "list:\n" + "".join(f"- {{seed: {n}, word: w{n}}}\n" for n in range(2000))
    assert len(load_yaml(rows, as_text=True)["list"]) == 2000


def test_a_key_that_is_a_date_is_told(tmp_path: Path) -> None:
    (tmp_path / "hpc.yaml").write_text("login: {host: a}\npaths: {scratch: /s}\n2026-01-31: x\n")
    with pytest.raises(ConfigError, match="a key in it is no name; put it in quotes"):
        load_site([tmp_path], "hpc")


def answered(names: Sequence[str]) -> object:
    """What is made of the names that a server says are in a folder."""
    listing = list_folder(PurePosixPath("/there"), missing_ok=False)
    listing.send(None)
    listing.send((b"handle",))
    pairs = [(name, Entry(mode=0o100644, size_bytes=1, mtime_s=1)) for name in names]
    listing.send([pairs, *([[]] * 7)])
    try:
        listing.send((None,))
    except StopIteration as end:
        return [name for name, _ in end.value]
    raise AssertionError("it goes on")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a/b", "a\0b", ""])
def test_a_server_that_has_names_of_other_places_is_refused(name: str) -> None:
    assert answered(["a", ".", "..", "new\nline", "\x1b[2J"]) == ["a", "new\nline", "\x1b[2J"]
    with pytest.raises(RefusedError, match="has a file of the name"):
        answered(["a", name])


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("../x", tarfile.REGTYPE, ""),
        ("/etc/x", tarfile.REGTYPE, ""),
        ("x", tarfile.SYMTYPE, "../x"),
        ("x", tarfile.SYMTYPE, "/etc/passwd"),
        ("x", tarfile.LNKTYPE, "../victim"),
        ("x", tarfile.CHRTYPE, ""),
    ],
)
def test_what_a_container_has_is_copied_into_the_folder_and_nowhere_else(
    tmp_path: Path, name: str, kind: bytes, target: str
) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        tar.addfile(member)
    (tmp_path / "victim").write_text("mine")
    folder = tmp_path / "into"
    container: Any = SimpleNamespace(get_archive=lambda path: (iter([archive.getvalue()]), {}))
    with suppress(HostError):
        copy_out(container, "/out", folder)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["into", "victim"]
    assert [one for one in folder.rglob("*") if one.is_symlink() or one.stat().st_nlink > 2] == []


NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_each_promise_names_tests_that_there_are() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    promises = [row for row in rows if "tests/" in row]
    assert len(promises) >= 15
    for row in promises:
        for name, test in NAMED.findall(row):
            assert (ROOT / name).is_file(), name
            text = (ROOT / name).read_text(encoding="utf-8")
            assert not test or f"def {test}(" in text, f"{name}::{test}"
            # It runs in the short form.
            assert f"@pytest.mark.long\ndef {test}(" not in text, f"{name}::{test}"
            assert not re.search(r"^pytestmark = .*\blong\b", text, re.MULTILINE), name


def test_what_slipway_runs_on_is_locked_by_hash() -> None:
    for lock in sorted((ROOT / "lock").glob("*.txt")):
        text = re.sub(r"\\\n\s+", " ", lock.read_text(encoding="utf-8"))
        pinned = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        assert len(pinned) > 5, lock
        for line in pinned:
            assert "==" in line.split()[0], line
            assert " --hash=sha256:" in line, line
    workflow = (ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8")
    assert "for lock in slipway release dev docs; do" in workflow
    assert 'pip-audit" --strict --require-hashes' in workflow
    assert {lock.stem for lock in (ROOT / "lock").glob("*.txt")} == {"slipway", "release", "dev", "docs"}
    assert "schedule:" in workflow


def test_what_holds_a_secret_is_its_owners_whatever_the_umask(tmp_path: Path) -> None:
    from slipway.notify.pending import Pending, PendingStore
    from slipway.notify.target import parse_target
    from slipway.project import Project
    from slipway.workspace import workspace

    before = os.umask(0)
    try:
        project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
        assert project.key
        store = PendingStore(project.state)
        store.keep("k3f9-lab-20260131-142530", Pending(targets=(parse_target("https://h/secret"),)))
        with workspace(tmp_path / "work") as folder:
            assert folder.stat().st_mode & 0o077 == 0
    finally:
        os.umask(before)
    open_ones = [file for file in project.state.rglob("*") if file.is_file() and file.stat().st_mode & 0o077]
    assert open_ones == []
