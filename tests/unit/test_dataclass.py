"""Dataclasses without methods of their own: they are what the standard library's are."""

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from slipway.dataclass import dataclass

Decorator = Callable[..., Any]


def make(decorator: Decorator) -> tuple[Any, Any, Any]:
    @decorator(frozen=True, kw_only=True)
    class Point:
        """A point."""

        x: int
        tags: Mapping[str, int] = dataclasses.field(default_factory=dict)
        note: str | None = dataclasses.field(default=None, compare=False, repr=False)
        fixed: int = dataclasses.field(default=7, init=False)

    @decorator(frozen=True, kw_only=True)
    class Named(Point):
        """A point with a name."""

        name: str = "a"

        def __post_init__(self) -> None:
            if not self.name:
                raise ValueError("no name")

    @decorator(frozen=True)
    class Pair:
        """Two values by their places."""

        a: int
        b: int = 2

        def __repr__(self) -> str:
            return "a pair"

        def __hash__(self) -> int:
            return 5

    return Point, Named, Pair


@pytest.fixture(params=[dataclass, dataclasses.dataclass], ids=["own", "standard library"])
def kinds(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    return make(request.param)


def test_values(kinds: tuple[Any, Any, Any]) -> None:
    point, named, pair = kinds
    one = named(x=1, tags={"a": 2})
    assert (one.x, one.tags, one.note, one.fixed, one.name) == (1, {"a": 2}, None, 7, "a")
    assert dataclasses.asdict(one) == {"x": 1, "tags": {"a": 2}, "note": None, "fixed": 7, "name": "a"}
    assert repr(point(x=1)).endswith("Point(x=1, tags={}, fixed=7)")
    assert (repr(pair(1)), hash(pair(1)), pair(1) == pair(1, 2)) == ("a pair", 5, True)
    assert point(x=1).tags is not point(x=1).tags


def test_equal_and_hashed_by_what_counts(kinds: tuple[Any, Any, Any]) -> None:
    point, named, _ = kinds
    assert point(x=1) == point(x=1, note="other") != point(x=2)
    assert named(x=1) != point(x=1)
    assert hash(point(x=1, tags=())) == hash(point(x=1, tags=(), note="other"))
    with pytest.raises(TypeError):
        hash(point(x=1))


def test_a_changed_copy_is_checked(kinds: tuple[Any, Any, Any]) -> None:
    _, named, _ = kinds
    assert dataclasses.replace(named(x=1), x=2) == named(x=2)
    assert copy.copy(named(x=1)) == named(x=1)
    with pytest.raises(ValueError, match="no name"):
        dataclasses.replace(named(x=1), name="")


@pytest.mark.parametrize(
    ("args", "values"), [((), {}), ((1,), {}), ((), {"x": 1, "y": 2}), ((), {"x": 1, "fixed": 2})]
)
def test_wrong_arguments(kinds: tuple[Any, Any, Any], args: tuple[int, ...], values: dict[str, int]) -> None:
    for _ in range(2):  # The first time finds the fields.
        with pytest.raises(TypeError):
            kinds[0](*args, **values)


def test_nothing_is_set_afterwards(kinds: tuple[Any, Any, Any]) -> None:
    one = kinds[0](x=1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del one.x
    assert one.x == 1


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A value that another process gets."""

    x: int


def test_it_may_go_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(Kept(x=1))) == Kept(x=1)  # noqa: S301 - what was written here


def test_no_method_is_compiled_where_a_class_is_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the standard library compiles them with, up to Python 3.12."""

    def refuse(*args: object) -> None:
        raise AssertionError("a method was compiled")

    monkeypatch.setattr(dataclasses, "_create_fn", refuse, raising=False)
    assert make(dataclass)[0](x=1).x == 1


def test_other_classes_are_the_standard_librarys() -> None:
    @dataclass
    class Plain:
        x: int = 1

    @dataclass(kw_only=True)
    class Counted:
        x: int

    one = Counted(x=1)
    one.x = 2
    assert (one, Plain()) == (Counted(x=2), Plain(1))
