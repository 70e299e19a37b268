"""Tasks of an array with arguments of their own: their files, and the job script that reads them."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from slipway.errors import JobError
from slipway.job.elements import Element, element_files
from slipway.scheduler.slurm.resources import SlurmResources
from tests.unit.node import Node
from tests.unit.test_script import LOCALE, SHOW, WORDS


def make_node(folder: Path) -> Node:
    return Node(folder, resources=SlurmResources(array="0-9"), elements=True)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return make_node(tmp_path)


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return make_node(tmp_path_factory.mktemp("shared") / "node")


def write(node: Node, elements: Sequence[Sequence[str]]) -> None:
    files = element_files(SHOW, [Element(values={}, args=tuple(args)) for args in elements])
    (node.run_dir / "elements").write_bytes(files.words)
    (node.run_dir / "elements.index").write_bytes(files.index)


def run(node: Node, task: int, locale: str = "C.UTF-8") -> int:
    target = f"SLIPWAY_TARGET={node.folder / f'argv-{task}'}"
    return node.run(environment=(target,), SLURM_ARRAY_TASK_ID=str(task), LC_ALL=locale)


def arrived(node: Node, task: int) -> list[str]:
    words = (node.folder / f"argv-{task}").read_bytes().split(b"\0")[:-1]
    return [os.fsdecode(word) for word in words][4:]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=WORDS, words=WORDS, after=WORDS, locale=LOCALE)
@example(before=["é\udce9"], words=["", "", ""], after=[], locale="C.UTF-8")
@example(before=[], words=[], after=["--"], locale="C")
@example(before=["\n"], words=["a\n", "\udcff"], after=["\n\n"], locale="C.UTF-8")
def test_each_task_gets_its_own_words(
    shared_node: Node, before: list[str], words: list[str], after: list[str], locale: str
) -> None:
    write(shared_node, [before, words, after])
    assert run(shared_node, 1, locale) == 0
    assert arrived(shared_node, 1) == words


def test_files_of_its_own(node: Node) -> None:
    contents = [b"one\n", b"", os.urandom(10_000), b"\0\n"]
    elements = [
        Element(values={}, args=(str(number),), files={"run.ini": content, "b": b"other"})
        for number, content in enumerate(contents)
    ]
    files = element_files(SHOW, elements)
    (node.run_dir / "elements").write_bytes(files.words)
    (node.run_dir / "elements.index").write_bytes(files.index)
    for task, content in enumerate(contents):
        assert run(node, task) == 0
        assert arrived(node, task) == [str(task)]
        here = node.run_dir / f"task-{task}" / "attempt-1"
        assert (here / "element" / "run.ini").read_bytes() == content
        assert {file.name for file in (here / "element").iterdir()} == {"b", "run.ini"}
        assert f"{here}/element:/element:ro" in (here / "binds").read_text()
    (node.run_dir / "elements").write_bytes(files.words[:-1])
    assert run(node, 3) == 1
    assert not (node.run_dir / "task-3" / "attempt-2").exists()


def test_many_elements(node: Node) -> None:
    write(node, [[f"--number={number}", "'$x"] for number in range(10_000)])
    for task in (0, 1, 4999, 9999):
        assert run(node, task) == 0
        assert arrived(node, task) == [f"--number={task}", "'$x"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        # Such as a file that has not come whole to a node.
        ("elements", b"sh\0-c"),
        ("elements", b""),
        ("elements.index", b"0 10 5\n"),
        ("elements.index", b""),
    ],
)
def test_files_that_are_not_whole_start_no_program(node: Node, name: str, content: bytes) -> None:
    write(node, [["a"], ["b"]])
    (node.run_dir / name).write_bytes(content)
    assert run(node, 1) == 1
    assert '"reason": "launch-failure"' in (node.run_dir / "task-1" / "attempt-1" / "result.json").read_text()
    assert not (node.folder / "argv-1").exists()


def test_a_word_that_no_program_can_be_given_is_refused() -> None:
    with pytest.raises(JobError, match="zero byte"):
        element_files(["sh"], [Element(values={}, args=("a\0b",))])
