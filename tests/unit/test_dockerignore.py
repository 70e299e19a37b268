import re
from pathlib import Path

import pytest

from slipway.code.dockerignore import read_dockerignore, translate
from slipway.errors import DataError


def left_out(folder: Path, text: str, *names: str) -> list[str]:
    (folder / ".dockerignore").write_text(text)
    rules = read_dockerignore(folder)
    return [name for name in names if rules.leaves_out(name)]


@pytest.mark.parametrize(
    ("glob", "matched", "others"),
    [
        ("a", ["a"], ["A", "b/a", "aa", "a\n"]),
        ("*.py", ["x.py", ".py"], ["b/x.py", "xpy"]),
        ("a?c", ["abc", "a\nc"], ["a/c", "ac"]),
        ("**", ["a", "a/b\n"], []),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax", "x/a"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a/c"]),
        ("a/**/b", ["a/b", "a/c/d/b"], ["a/cb", "ab"]),
        ("**.log", [".log", "a/.log", "a.log", "a/b.log"], ["a.log/b", "alog"]),
        ("**.lo[g]", [".log", "a/.log"], ["a.log"]),
        ("a/**b", ["a/b", "a/c/b"], ["a/cb", "ab"]),
        ("[a-c]x", ["bx"], ["dx", "-x"]),
        ("[^a-c]x", ["dx"], ["bx"]),
        ("[!a]x", ["!x", "ax"], ["bx"]),
        (r"[\]\-]x", ["]x", "-x"], [r"\x"]),
        (r"\*\[x", ["*[x"], ["a[x"]),
        ("a+(b)|c.$^{1}", ["a+(b)|c.$^{1}"], ["aab", "c"]),
        ("\udcff*", ["\udcff\udcfe"], ["a"]),
    ],
)
def test_a_pattern_matches_whole_names(glob: str, matched: list[str], others: list[str]) -> None:
    pattern = re.compile(translate(glob), re.DOTALL)
    assert [name for name in (*matched, *others) if pattern.fullmatch(name)] == matched


def test_the_last_rule_that_matches_wins(tmp_path: Path) -> None:
    names = ["a/x.py", "a/keep.py", "a/keep.py/x", "b"]
    assert left_out(tmp_path, "a\n!a/keep.py\n", *names) == ["a/x.py"]
    assert left_out(tmp_path, "!a/keep.py\na\n", *names) == names[:3]


def test_what_is_left_out_is_so_with_all_that_is_in_it(tmp_path: Path) -> None:
    names = ["n", "a/n/x", "a/b/n/c/d", "a/b/m"]
    assert left_out(tmp_path, "**/n\n!a/b/n/c/d\n", *names) == ["n", "a/n/x"]


def test_lines_are_tidied_as_docker_does_it(tmp_path: Path) -> None:
    text = "\ufeff/a/\n# b\n  \n ! a/./x/../keep \r\n .\n c//d \n"
    assert left_out(tmp_path, text, "a/x", "a/keep", "b", "c/d", "e", "# b") == ["a/x", "c/d"]


def test_a_folder_is_looked_into_where_an_exception_may_be_for_something_in_it(tmp_path: Path) -> None:
    def passed_by(text: str) -> list[str]:
        (tmp_path / ".dockerignore").write_text(text)
        rules = read_dockerignore(tmp_path)
        return [name for name in ("a", "a/b", "c") if rules.leaves_out_all_in(name)]

    assert passed_by("*\n") == ["a", "a/b", "c"]
    assert passed_by("*\n!a/b/x\n") == ["c"]
    assert passed_by("*\n!a/d\n") == ["a/b", "c"]
    assert passed_by("*\n!a\n") == ["c"]
    assert passed_by("*\n!a/*/x\n") == ["c"]
    assert passed_by("*\n!**/x\n") == []
    assert passed_by("c\n!c/x\n") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a[bc", r"'a\[bc' is no pattern: a `\[` has no"),
        ("[]x", "is no pattern"),
        ("[z-a]", "is no pattern: bad character range"),
        ("a\\", "is no pattern: there is nothing behind the backslash"),
        ("!", "nothing behind the `!`"),
    ],
)
def test_a_line_that_is_no_pattern_is_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(DataError, match=rf"\.dockerignore:2: .*{words}"):
        left_out(tmp_path, f"a\n{line}\n")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").mkdir()
    with pytest.raises(DataError, match=r"\.dockerignore cannot be read: Is a directory"):
        read_dockerignore(tmp_path)
