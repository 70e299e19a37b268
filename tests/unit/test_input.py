import pytest

from slipway.job.input import named_datasets


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (("--dataset", "room"), ["room"]),
        (("--dataset=room/left",), ["room"]),
        (("--dataset", "/data/room"), ["room"]),
        (("--input=/data/room/a.png", "/data/door", "/data/door/b"), ["door", "room"]),
        (("/data", "/data/", "/data/..", "data/room", "x/data/room"), []),
        (("--dataset",), []),
        (("--dataset", "a b\n"), ["a b\n"]),
        ((), []),
    ],
)
def test_datasets_that_arguments_name(args: tuple[str, ...], names: list[str]) -> None:
    assert named_datasets(args) == names
