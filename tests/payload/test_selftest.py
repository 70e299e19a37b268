"""The self-test without a GPU; GPUs are values here. What a GPU computes is for a GPU to say."""

import json
import platform
import re
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slam.command import main
from slam.errors import DeviceError, InputError, SlamError
from slam.selftest import selftest, versions
from slam.selftest.gpu import Gpu, read_driver
from slam.selftest.selftest import FAILED, OK, SKIPPED, Check, check_devices, check_imports, judge

VERSIONS = {
    "droid_slam": {"commit": "d" * 40},
    "lietorch": {"commit": "e" * 40},
    "torch": "2.7.1+cu126",
    "cuda": "12.6",
    "nvcc": "12.4",
    "architectures": "7.0;8.0;9.0",
    "torch_architectures": "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90",
    "payload": "f" * 16,
}


def gpu(major: int, minor: int) -> Gpu:
    return Gpu(name="NVIDIA Test", major=major, minor=minor, memory_bytes=80_000_000_000)


def compare(one: Gpu, **changes: str) -> Check:
    return next(check_devices([one], "", {**VERSIONS, **changes}, required=False))


def test_a_gpu_that_the_image_was_made_for() -> None:
    found = compare(gpu(8, 6))
    assert (found.state, found.seen) == (
        OK,
        "NVIDIA Test, compute capability 8.6, 80 GB; the image was compiled for 7.0 8.0 9.0",
    )


def test_a_gpu_that_it_was_not_made_for_says_what_to_build() -> None:
    found = compare(gpu(10, 0))
    assert found.state == FAILED
    assert "build it with TORCH_CUDA_ARCH_LIST=7.0;8.0;9.0;10.0, or ask for another GPU" in found.seen
    older = compare(gpu(7, 0), torch_architectures="sm_75 sm_80 sm_90")
    assert older.state == FAILED
    assert "this PyTorch has kernels for 7.5 8.0 9.0 only" in older.seen


def test_no_gpu_is_a_failure_only_where_one_is_required() -> None:
    def state(required: bool) -> tuple[str, str]:
        found = next(check_devices([], "no driver", VERSIONS, required=required))
        return found.state, found.seen

    assert state(False) == (SKIPPED, "there is none: no driver")
    assert state(True) == (FAILED, "there is none: no driver")


def test_a_folder_that_is_no_image_says_so() -> None:
    found = next(check_devices([gpu(8, 0)], "", None, required=True))
    assert (found.state, "is not known" in found.seen) == (SKIPPED, True)


def test_what_cannot_be_imported_is_told() -> None:
    found = list(check_imports(("json", "no_such_module")))
    assert [one.state for one in found] == [OK, FAILED]
    assert found[1].seen == "ModuleNotFoundError: No module named 'no_such_module'"


def test_failures_are_errors_of_their_kind() -> None:
    judge([Check(name="a", state=OK, seen=""), Check(name="b", state=SKIPPED, seen="")])
    broken = Check(name="import x", state=FAILED, seen="none")
    wrong = Check(name="iproj", state=FAILED, seen="zeros")
    with pytest.raises(SlamError, match=r"self-test: import x: none \(1 more failed\)") as caught:
        judge([broken, wrong])
    assert caught.value.exit_code == 1
    with pytest.raises(DeviceError, match="self-test: iproj: zeros") as caught:
        judge([wrong])
    assert caught.value.exit_code == 8


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The command, in an image whose imports all hold and that sees no GPU."""
    monkeypatch.setenv("SLAM_ENGINE", "droid")
    torch = Check(name="import torch", state=OK, seen="2.7.1")
    monkeypatch.setattr(selftest, "check_imports", lambda names: [torch])
    monkeypatch.setattr(selftest, "find_gpus", lambda: ([], "no driver"))
    monkeypatch.setattr(selftest, "read_versions", lambda: VERSIONS)
    monkeypatch.setattr(selftest, "read_driver", lambda: None)
    moved = Check(name="lietorch on the CPU", state=OK, seen="")
    skipped = Check(name="kernels", state=SKIPPED, seen="they need a GPU")
    monkeypatch.setattr(selftest, "check_kernels", lambda device: [moved, skipped])
    code = main(["--self-test", *words])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_without_a_gpu_it_says_what_was_not_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(monkeypatch, capsys)
    assert code == 0
    assert said.splitlines() == [
        f"DROID-SLAM {'d' * 40}, lietorch {'e' * 40}",
        "PyTorch 2.7.1+cu126, CUDA 12.6, nvcc 12.4",
        f"compiled for 7.0;8.0;9.0, payload {'f' * 16}",
        "driver none, 0 GPUs",
        "  import torch         ok        2.7.1",
        "  GPU                  not made  there is none: no driver",
        "  lietorch on the CPU  ok",
        "  kernels              not made  they need a GPU",
    ]
    code, said = run(monkeypatch, capsys, "--require-gpu")
    assert code == 8
    assert said.splitlines()[-1] == "slam: self-test: GPU: there is none: no driver"


def test_the_image_without_pytorch_has_a_self_test_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycolmap", reason="COLMAP is not installed here")
    monkeypatch.delenv("SLAM_ENGINE", raising=False)
    assert main(["--self-test"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^  import pycolmap +ok +4", said, re.M)
    assert "none is looked for, because COLMAP runs on the CPU here" in said
    assert "kernels" not in said
    assert main(["--self-test", "--require-gpu"]) == 8


def test_a_closed_cache_of_fonts_is_no_matter(slam, tmp_path: Path) -> None:
    """As in an image with a read-only root, or for a user who is not root: matplotlib would warn of it."""
    pytest.importorskip("pycolmap", reason="COLMAP is not installed here")
    (tmp_path / "file").write_text("")
    done = slam("--self-test", MPLCONFIGDIR=str(tmp_path / "file" / "matplotlib"), TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_it_prints_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(monkeypatch, capsys, "--json")
    content = json.loads(said)
    assert code == 0
    assert content["versions"] == VERSIONS
    assert content["checks"][1] == {"name": "GPU", "state": SKIPPED, "seen": "there is none: no driver"}


def test_a_wrong_option_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--self-test", "--require-gpus"]) == 2
    assert "there is no option '--require-gpus' (did you mean --require-gpu?)" in capsys.readouterr().err


def test_the_drivers_version_is_read(tmp_path: Path) -> None:
    file = tmp_path / "version"
    assert read_driver(file) is None
    # As the open and the closed kernel module write it.
    for kind in ("NVIDIA UNIX Open Kernel Module for x86_64", "NVIDIA UNIX x86_64 Kernel Module"):
        file.write_text(f"NVRM version: {kind}  550.54.15  Release Build  (dvs-builder)\nGCC version: 12\n")
        assert read_driver(file) == "550.54.15"


def test_versions_are_read_and_the_payload_is_added(tmp_path: Path) -> None:
    assert versions.read_versions(tmp_path) is None
    (tmp_path / "slam").mkdir()
    (tmp_path / "slam/a.py").write_text("a = 1\n")
    (tmp_path / "versions.json").write_text('{"torch": "2.7.1"}')
    versions.main([str(tmp_path)])
    first = versions.read_versions(tmp_path)
    assert first is not None
    assert first["torch"] == "2.7.1"
    assert len(first["payload"]) == 16
    assert first["python"] == platform.python_version()
    assert first["packages"]["numpy"] == version("numpy")
    (tmp_path / "slam/a.py").write_text("a = 2\n")
    assert versions.payload_revision(tmp_path) != first["payload"]
    (tmp_path / "versions.json").write_text("{")
    assert versions.require_versions(VERSIONS) == VERSIONS
    with pytest.raises(InputError, match=r"versions\.json has no 'droid_slam'; build the image again"):
        versions.require_versions(first)
    with pytest.raises(InputError, match=r"versions\.json is no JSON; build the image again"):
        versions.read_versions(tmp_path)


# What follows needs PyTorch: the known values are held against DROID-SLAM's kernels in plain PyTorch.


def test_the_plain_kernels_give_the_known_values() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed here")
    kernels = pytest.importorskip("slam.engine.droid.kernels", reason="no kernels in plain PyTorch here")
    found = check_all(kernels)
    assert len(found) == 10
    assert {one.state for one in found.values()} == {OK}, found


def test_kernels_that_do_nothing_or_something_else_are_noticed() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed here")
    kernels = pytest.importorskip("slam.engine.droid.kernels", reason="no kernels in plain PyTorch here")

    def spoil(change: Any) -> SimpleNamespace:
        """The kernels, with each result changed; bundle adjustment leaves what it is given."""

        def wrap(kernel: Any) -> Any:
            def call(*words: Any) -> Any:
                result = kernel(*words)
                if isinstance(result, torch.Tensor):
                    return change(result)
                return [change(one) for one in result]

            return call

        names = [name for name in kernels.__all__ if name != "ba"]
        wrapped = {name: wrap(getattr(kernels, name)) for name in names}
        return SimpleNamespace(**wrapped, ba=lambda *words: None)

    for change in (torch.zeros_like, lambda one: one * 1.001, lambda one: one + 1):
        found = check_all(spoil(change))
        assert {one.state for one in found.values()} == {FAILED}, found
    said = check_all(spoil(torch.zeros_like))["iproj"].seen
    assert said.endswith("all is zero, as where a kernel could not be run")


def check_all(kernels: Any) -> dict[str, Check]:
    """Each kernel's check, on the CPU."""
    from slam.selftest.known import cases

    return {name: selftest._check(name, lambda case=case: case(kernels, "cpu")) for name, case in cases()}
