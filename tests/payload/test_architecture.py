import pytest

from slam.selftest.architecture import Architecture, covers, parse_flags, parse_list


def test_lists_are_read() -> None:
    assert parse_list("7.0;8.0 9.0+PTX;") == [
        Architecture(7, 0),
        Architecture(8, 0),
        Architecture(9, 0),
        Architecture(9, 0, is_ptx=True),
    ]
    assert parse_list("12.0a") == [Architecture(12, 0, is_exact=True)]
    assert [str(one) for one in parse_list("8.6 9.0a 9.0+PTX")] == ["8.6", "9.0a", "9.0", "9.0+PTX"]


@pytest.mark.parametrize("text", ["", "sm_80", "8", "Hopper", "8.0,9.0"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an architecture; write numbers such as"):
        parse_list(text)


def test_cudas_own_names_are_read() -> None:
    found = parse_flags(["nvcc", "sm_70", "sm_100", "compute_90", "sm_90a", "-O3"])
    assert [str(one) for one in found] == ["7.0", "10.0", "9.0+PTX", "9.0a"]


# https://docs.nvidia.com/cuda/ampere-compatibility-guide: machine code within a major version, PTX beyond it.
@pytest.mark.parametrize(
    ("code", "major", "minor", "runs"),
    [
        ("7.0;8.0;9.0", 7, 0, True),  # V100
        ("7.0;8.0;9.0", 7, 5, True),  # T4
        ("7.0;8.0;9.0", 8, 6, True),  # A40
        ("7.0;8.0;9.0", 8, 9, True),  # L40
        ("7.0;8.0;9.0", 9, 0, True),  # H100
        ("7.0;8.0;9.0", 6, 1, False),  # GTX 1080
        ("7.0;8.0;9.0", 10, 0, False),  # B200
        ("7.0;8.0;9.0+PTX", 10, 0, True),
        ("8.6", 8, 0, False),
        ("9.0a", 9, 0, True),
        ("9.0a", 9, 1, False),
        ("8.0+PTX", 7, 5, False),
    ],
)
def test_what_runs_where(code: str, major: int, minor: int, runs: bool) -> None:
    assert covers(parse_list(code), major, minor) is runs
