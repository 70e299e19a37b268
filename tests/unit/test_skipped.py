"""What a transfer could not bring: read from rsync's own words, found by trying, and named to a person."""

import subprocess
from pathlib import Path

import pytest

from slipway.shell import Result
from slipway.skipped import Skipped, list_skipped, show_name
from slipway.transfer.letter_case import find_clashes, ignores_case
from slipway.transfer.rsync_words import SkipRule, exclude_patterns, parse_left_out, parse_skipped
from tests.waiting import PATIENCE_S

# rsync 3.5.0 and, without the side, 3.1.2; a disk without links (exFAT), a full path, a file that was cut.
SAID = r"""
rsync: [sender] opendir "/s/closed" failed: Permission denied (13)
rsync: [sender] send_files failed to open "/s/"q" failed: x (3)": Permission denied (13)
rsync: [sender] send_files failed to open "/s/lat\#351": Permission denied (13)
rsync: send_files failed to open "/s/new\#012l": Permission denied (13)
rsync: [generator] recv_generator: failed to stat "/home/ä/long": File name too long (36)
rsync: [generator] symlink "/home/ä/lnk" -> "x" failed: Function not implemented (38)
rsync: [receiver] mkstemp "/home/ä/sub/.a:b.uG0h0G" failed: No such file or directory (2)
rsync: [generator] failed to set times on "/home/ä/.": Operation not permitted (1)
rsync: [sender] link_stat "/s/./sub/gone" failed: No such file or directory (2)
rsync: readlink_stat("/s/y") failed: Permission denied (13)
rsync: [generator] recv_generator: mkdir "/home/ä/deep" failed: File name too long (36)
*** Skipping any contents from this failed directory ***
file has vanished: "/s/sub/tmp"
WARNING: grows failed verification -- update discarded (will try again).
ERROR: grows failed verification -- update discarded.
cannot delete non-empty directory: full
could not make way for new regular file: full
rsync: [sender] send_files failed to open "/s/lat\#351": Permission denied (13)
rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394)
"""


def test_rsync_says_what_it_skipped() -> None:
    found = {one.name: one.why for one in parse_skipped(SAID, ["/s", "/home/ä"])}
    assert found == {
        "closed": "Permission denied",
        '"q" failed: x (3)': "Permission denied",
        "lat\udce9": "Permission denied",
        "new\nl": "Permission denied",
        "long": "File name too long",
        "lnk": "Function not implemented",
        "sub/a:b": "No such file or directory",
        ".": "failed to set times: Operation not permitted",
        "sub/gone": "No such file or directory",
        "y": "Permission denied",
        "deep": "File name too long",
        "sub/tmp": "it went away meanwhile",
        "grows": "it changed meanwhile",
        "": "could not make way for new regular file: full",
    }


def test_real_rsync_says_it_so(open_folder: Path) -> None:
    """The real one, on names that are hard to tell from its words."""
    names = ['"a" failed: b (1)', "new\nline", "\udce9", "back\\#0123", "-> x", "é"]
    source = open_folder / "source"
    source.mkdir()
    for name in names:
        (source / name).write_text("x")
        (source / name).chmod(0)
    (source / "good").write_text("x")
    for path in (open_folder, open_folder / "target"):
        path.mkdir(exist_ok=True)
        path.chmod(0o777)
    done = subprocess.run(
        ["rsync", "--recursive", f"{source}/", f"{open_folder}/target/"],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        user=65534,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 23
    found = parse_skipped(done.stderr.decode("utf-8", "replace"), [str(source)])
    assert sorted(one.name for one in found) == sorted(names)
    assert {one.why for one in found} == {"Permission denied"}


def test_pipes_and_devices_are_named() -> None:
    said = '\r  2  13%  0.00kB/s  0:00:00 \nskipping non-regular file "a/fi\\#012fo"\nNumber of files: 2\n'
    assert parse_left_out(said) == ["a/fi\nfo"]


def test_a_failure_of_the_whole_is_none_of_single_files() -> None:
    def skips(stderr: str, code: int = 23, *, only_here: bool = False) -> list[str]:
        result = Result(argv=("rsync",), exit_code=code, stderr=stderr)
        return [one.name for one in SkipRule(roots=("/s",), only_here=only_here).find(result)]

    one = 'rsync: [sender] send_files failed to open "/s/a": Permission denied (13)\n'
    assert skips(one) == skips(one, 24) == skips(one, only_here=True) == ["a"]
    assert skips(one, 12) == []
    assert skips(one + 'rsync: [sender] change_dir "/s" failed: No such file or directory (2)\n') == []
    assert skips(one + 'rsync: [receiver] mkstemp "/t/.a.x" failed: No space left on device (28)\n') == []
    result = Result(argv=("rsync",), exit_code=23, stderr="rsync error: some files (code 23)\n")
    there = f"Welcome\nrsync quota: 5 GB\n{one}"
    assert [found.name for found in SkipRule(roots=("/s",), only_here=True).find(result, there)] == ["a"]
    elsewhere = one + 'rsync: [receiver] mkstemp "/t/.a.123456" failed: Permission denied (13)\n'
    assert skips(elsewhere) == ["a", "/t/a"]
    assert skips(elsewhere, only_here=True) == []


ODD = ["a", "a b", "*", "a[b]c", "a\\*", "a\\b", "?", "new\nline", "é", "#x", "sub/*"]


@pytest.mark.parametrize("names", [*([name] for name in ODD), ODD])
def test_patterns_leave_out_these_names_only(tmp_path: Path, names: list[str]) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub").mkdir(parents=True)
    for name in (*ODD, "abc", "b", "sub/x"):
        (source / name).write_text("x")
    (tmp_path / "patterns").write_text("".join(f"{one}\0" for one in exclude_patterns(names)))
    # It reads the file when it comes to the option: what tells how to read it has to stand before.
    argv = ["rsync", "-r", "--from0", f"--exclude-from={tmp_path}/patterns", f"{source}/", f"{target}/"]
    subprocess.run(argv, check=True, timeout=PATIENCE_S)
    there = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert there == {*ODD, "abc", "b", "sub/x"} - set(names)


def test_names_that_a_disk_does_not_tell_apart() -> None:
    assert find_clashes(["A", "a", "A/x", "a/y"]) == {"a": "A"}
    assert find_clashes(["b/C", "b/c", "d"]) == {"b/c": "b/C"}
    assert find_clashes(["ä", "a\u0308"]) == {"ä": "a\u0308"}
    assert find_clashes(["a", "b", "a/b"]) == {}


def test_this_disk_tells_case_apart(tmp_path: Path) -> None:
    assert not ignores_case(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_some_are_named_and_the_others_counted() -> None:
    many = [Skipped(name=f"f\x1b{number}", why="no") for number in range(1010)]
    lines = list_skipped(many).splitlines()
    assert lines[0] == "  'f\\x1b0': no"
    assert len(lines) == 11
    assert lines[-1] == "  … and 1,000 more"
    assert list_skipped([Skipped(name="", why="what it said")]) == "  what it said"
    assert show_name("a" * 300) == "a" * 100 + "…" + "a" * 100
