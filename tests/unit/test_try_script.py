"""Another try of a run: what the earlier ones have written is there as /previous, under real bash."""

from pathlib import Path, PurePosixPath

import pytest

from tests.unit.node import Node


class Try(Node):
    """A node on which the third try of a run begins."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.earlier = [folder / "first run", folder / "second"]
        super().__init__(folder, tries=tuple(map(PurePosixPath, self.earlier)), **changes)

    def wrote(self, run: int, attempt: str, name: str | None = "saved") -> Path:
        out = self.earlier[run] / attempt / "out"
        out.mkdir(parents=True)
        if name:
            (out / name).touch()
        return out

    def previous(self, attempt: int = 1, **variables: str) -> str | None:
        assert self.run("true", **variables) == 0
        folder = self.run_dir / (
            f"task-{variables['SLURM_ARRAY_TASK_ID']}" if "SLURM_ARRAY_TASK_ID" in variables else ""
        )
        binds = (folder / f"attempt-{attempt}" / "binds").read_text().splitlines()
        return next((bind.removesuffix(":/previous:ro") for bind in binds if ":/previous" in bind), None)


@pytest.fixture
def node(tmp_path: Path) -> Try:
    return Try(tmp_path)


def test_the_newest_that_wrote_anything(node: Try) -> None:
    node.wrote(0, "attempt-2")
    expected = node.wrote(0, "attempt-10")
    node.wrote(1, "attempt-1", None)
    node.wrote(1, "attempt-2", ".slipway-entry-0")
    assert node.previous() == str(expected)


def test_the_last_try_goes_before(node: Try) -> None:
    node.wrote(0, "attempt-1")
    expected = node.wrote(1, "attempt-1")
    assert node.previous() == str(expected)


def test_none_has_written_anything(node: Try) -> None:
    node.wrote(0, "attempt-1", None)
    assert node.previous() is None


def test_its_own_attempts_go_before_once_they_wrote(node: Try) -> None:
    expected = node.wrote(1, "attempt-1")
    (node.run_dir / "attempt-1" / "out").mkdir(parents=True)
    assert node.previous(2, SLURM_RESTART_COUNT="1") == str(expected)
    (node.run_dir / "attempt-2" / "out" / "mine").touch()
    assert node.previous(3, SLURM_RESTART_COUNT="2") == str(node.run_dir / "attempt-2" / "out")


def test_each_task_has_its_own(node: Try) -> None:
    node.wrote(1, "task-3/attempt-1")
    expected = node.wrote(0, "task-4/attempt-1")
    assert node.previous(SLURM_ARRAY_TASK_ID="4") == str(expected)
