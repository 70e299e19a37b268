"""Our frames against those of DROID-SLAM's own scripts, where its sources are at hand (DROID_ROOT)."""

import ast
import glob
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice
from tests.payload.datasets import make_eth3d, make_euroc, make_plain, make_tartanair, make_tum

cv2 = pytest.importorskip("cv2", reason="OpenCV undistorts and resizes; install the extra `payload`")
torch = pytest.importorskip("torch", reason="DROID-SLAM's scripts make tensors; there is no PyTorch here")
ROOT = Path(os.environ.get("DROID_ROOT", ""))
pytestmark = pytest.mark.skipif(not os.environ.get("DROID_ROOT"), reason="DROID_ROOT names no DROID-SLAM")

Stream = Callable[..., Iterable[tuple[Any, ...]]]


def image_stream(script: str) -> Stream:
    """The script's reader alone: around it the script imports what needs a GPU."""
    tree = ast.parse((ROOT / script).read_text())
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "image_stream"]
    names: dict[str, Any] = {
        "np": np, "cv2": cv2, "torch": torch, "F": torch.nn.functional, "os": os, "glob": glob,
    }  # fmt: skip
    exec(compile(ast.Module(found, []), script, "exec"), names)  # noqa: S102 - upstream's own function
    function: Stream = names["image_stream"]
    return function


def check(folder: Path, choice: Choice, theirs: Iterable[tuple[Any, ...]]) -> None:
    expected = list(theirs)
    frames = list(open_sequence(folder, choice).pictures)
    assert len(frames) == len(expected) >= 3
    for frame, (_, images, *depth, intrinsics) in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.image, images[0].numpy())
        np.testing.assert_allclose(frame.intrinsics, intrinsics.numpy(), rtol=1e-6)
        assert (frame.right is None) == (len(images) == 1)
        if frame.right is not None:
            np.testing.assert_array_equal(frame.right, images[1].numpy())
        if depth:
            assert frame.depth is not None
            np.testing.assert_allclose(frame.depth, depth[0].numpy(), rtol=1e-6)


def test_tum(tmp_path: Path) -> None:
    folder = make_tum(tmp_path / "rgbd_dataset_freiburg1_xyz", count=7)
    check(folder, Choice(), image_stream("evaluation_scripts/test_tum.py")(str(folder)))


@pytest.mark.parametrize("stereo", [False, True])
def test_euroc(tmp_path: Path, stereo: bool) -> None:
    folder = make_euroc(tmp_path / "MH_01_easy")
    theirs = image_stream("evaluation_scripts/test_euroc.py")(str(folder), stereo=stereo)
    check(folder, Choice(mode="stereo" if stereo else "mono"), theirs)


@pytest.mark.parametrize("depth", [False, True])
def test_eth3d(tmp_path: Path, depth: bool) -> None:
    folder = make_eth3d(tmp_path / "sfm_bench")
    theirs = list(image_stream("evaluation_scripts/test_eth3d.py")(str(folder), use_depth=depth))
    # Theirs goes by name, in which 1000.5 and 1001.5 come before 999.5.
    check(folder, Choice(mode="rgbd" if depth else "mono"), [theirs[2], *theirs[:2]])


@pytest.mark.parametrize("stereo", [False, True])
def test_tartanair(tmp_path: Path, stereo: bool) -> None:
    folder = make_tartanair(tmp_path / "P000")
    theirs = image_stream("evaluation_scripts/validate_tartanair.py")(str(folder), stereo=stereo)
    check(folder, Choice(mode="stereo" if stereo else "mono"), theirs)


@pytest.mark.parametrize(
    ("calibration", "size"),
    [
        ("500 505 330 250", (640, 480)),
        ("500 505 330 250 .1 -.05 .001 .002", (657, 481)),
        ("500 505 330 250 .1 -.05 .001 .002 .3", (657, 481)),
        ("1161.545689 1161.545689 960.0 540.0 -0.025158 0.0 0.0 0.0", (1920, 1080)),
        ("500 505 330 250 0 0 0 0", (481, 657)),
    ],
)
def test_a_plain_folder(tmp_path: Path, calibration: str, size: tuple[int, int]) -> None:
    folder = make_plain(tmp_path / "own", calibration, size=size)
    theirs = image_stream("demo.py")(str(folder / "images"), str(folder / "calib.txt"), 1)
    check(folder, Choice(), theirs)


@pytest.mark.parametrize(
    ("script", "dataset"),
    [
        ("evaluation_scripts/test_tum.py", "tum"),
        ("evaluation_scripts/test_euroc.py", "euroc"),
        ("evaluation_scripts/test_eth3d.py", "eth3d"),
        ("evaluation_scripts/validate_tartanair.py", "tartanair"),
    ],
)
def test_settings_are_the_scripts_defaults(script: str, dataset: str) -> None:
    import importlib

    settings = importlib.import_module(f"slam.dataset.{dataset}").SETTINGS
    defaults: dict[str, Any] = {}
    for node in ast.walk(ast.parse((ROOT / script).read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            name = ast.literal_eval(node.args[0]).lstrip("-")
            given = [ast.literal_eval(one.value) for one in node.keywords if one.arg == "default"]
            defaults |= dict.fromkeys([name], given[0]) if given else {}
    tuning = {
        name: value
        for name, value in defaults.items()
        if isinstance(value, int | float) and name not in ("buffer", "id")
    }
    assert settings == tuning
