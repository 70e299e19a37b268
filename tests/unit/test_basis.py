import subprocess
from pathlib import Path

from slipway.transfer.basis import Left, choose_left, is_worth_joining, list_command, parse_left


def left(length_bytes: int, *, is_joined: bool = False) -> Left:
    return Left(path="x", length_bytes=length_bytes, is_joined=is_joined)


def test_what_earlier_attempts_have_left(tmp_path: Path) -> None:
    for name, size in {
        "a/.a b.sif.Xy12Zz": 7,  # rsync was killed
        "b/a b.sif": 5,  # rsync was told to stop
        "c/basis-4/a b.sif": 12,  # the first four bytes of the new one, and the old one
        "d/basis-0/a b.sif": 8,  # the old one only
        "e/basis-9/.joining": 9,
        "f/.a b.sif.empty0": 0,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * size)
    (tmp_path / "not-of-an-attempt").write_text("x")
    command = [word.replace("/there", str(tmp_path)) for word in list_command(Path("/there"))]  # type: ignore[arg-type]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert sorted(parse_left(done.stdout), key=lambda one: one.path) == [
        Left(path="a/.a b.sif.Xy12Zz", length_bytes=7, is_joined=False),
        Left(path="b/a b.sif", length_bytes=5, is_joined=False),
        Left(path="c/basis-4/a b.sif", length_bytes=4, is_joined=True),
    ]


def test_no_workshop_yet(tmp_path: Path) -> None:
    command = list_command(tmp_path / "none")  # type: ignore[arg-type]
    assert parse_left(subprocess.run(command, check=True, capture_output=True, text=True).stdout) == []


def test_the_remains_that_are_furthest_on() -> None:
    assert choose_left([], 100, None) is None
    assert choose_left([left(4, is_joined=True), left(7)], 100, None) == left(7)
    # What is joined already need not be copied.
    assert choose_left([left(7), left(7, is_joined=True)], 100, 1000) == left(7, is_joined=True)


def test_remains_that_take_the_room_of_the_new_file() -> None:
    assert choose_left([left(7)], 100, 99) is None
    assert choose_left([left(7)], 100, 100) == left(7)


def test_the_old_one_is_copied_where_that_pays_and_fits() -> None:
    assert is_worth_joining(left(500), 1000, 1100, None)
    assert is_worth_joining(left(500), 1000, 1100, 2600)
    assert not is_worth_joining(left(500), 1000, 1100, 2599)
    assert not is_worth_joining(left(9), 1000, 1100, None)
