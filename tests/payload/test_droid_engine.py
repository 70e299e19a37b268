"""What can go wrong around DROID-SLAM, told in one line each; where upstream runs, it is a stand-in."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from slam.dataset.sequence import Picture, Sequence
from slam.engine.droid import backend, engine
from slam.engine.droid.memory import SPARE, plan, row_bytes
from slam.engine.droid.options import Options
from slam.engine.droid.tracking import require_poses, require_start
from slam.engine.droid.upstream import find_upstream
from slam.engine.estimate import Estimate, Settings
from slam.engine.worker import run_engine
from slam.errors import (
    CrashError,
    DeviceError,
    InputError,
    MemoryShortError,
    ReconstructionError,
    SlamError,
)
from tests.payload.datasets import frames_at
from tests.payload.standin_droid import write_standin

REPOSITORY = Path(__file__).parents[2]
MIB = 2**20


def test_small_images_are_refused() -> None:
    engine.require_size(128, 128)
    with pytest.raises(InputError, match="176x120 after resizing, and DROID-SLAM needs at least 128"):
        engine.require_size(120, 176)
    with pytest.raises(InputError, match="multiples of 8"):
        engine.require_size(128, 130)


def test_a_camera_that_does_not_move_and_too_few_keyframes_are_told_apart() -> None:
    require_start(8, True, 100, Options())
    with pytest.raises(ReconstructionError, match=r"camera does not move in any of 100 frames.*thresh 2.4"):
        require_start(1, False, 100, Options())
    with pytest.raises(ReconstructionError, match=r"5 of 100 frames became keyframes, and 8 \(--warmup\)"):
        require_start(5, False, 100, Options())


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_poses_that_are_no_numbers_are_told(wrong: float) -> None:
    poses = np.tile([0, 0, 0, 0, 0, 0, 1.0], (9, 1))
    assert require_poses(poses, 9) is poses
    poses[4, 2] = wrong
    with pytest.raises(
        ReconstructionError, match=r"poses of 1 of 9 frames are no numbers, the first .* frame 4"
    ):
        require_poses(poses, 9)
    with pytest.raises(ReconstructionError, match="9 poses for 10 frames"):
        require_poses(poses, 10)
    with pytest.raises(ReconstructionError, match="no numbers"):
        require_poses(np.zeros((9, 7)), 9)  # a rotation of length 0


def test_the_buffer_is_for_all_frames_where_they_are_few() -> None:
    row = row_bytes(240, 320, stereo=False)
    room = plan(100, row, 1000 * MIB, asked=None, can_grow=True)
    assert (room.first, room.most, room.needed) == (117, 117, 117)


def test_the_buffer_begins_as_upstreams_and_may_grow_as_far_as_memory_goes() -> None:
    row = 2 * MIB
    room = plan(5000, row, 10_000 * MIB, asked=None, can_grow=True)
    assert (room.first, room.most) == (512, 2000)
    assert plan(5000, row, 10_000 * MIB, asked=100, can_grow=True).first == 100
    assert plan(5000, row, 10_000 * MIB, asked=9999, can_grow=True).first == 2000
    assert plan(5000, row, 600 * MIB, asked=None, can_grow=True).first == 120


def test_two_processes_share_a_buffer_that_cannot_grow() -> None:
    room = plan(5000, 2 * MIB, 10_000 * MIB, asked=None, can_grow=False)
    assert room.first == room.most == 2000
    room = plan(5000, 2 * MIB, 10_000 * MIB, asked=300, can_grow=False)
    assert room.first == room.most == 300


def test_no_memory_at_all_is_told_before_the_work() -> None:
    with pytest.raises(MemoryShortError, match=r"0\.0 GiB free, and a keyframe takes 2\.0 MiB"):
        plan(5000, 2 * MIB, 50 * MIB, asked=None, can_grow=True)


def test_a_keyframes_memory_counts_both_cameras() -> None:
    assert row_bytes(240, 320, stereo=True) > row_bytes(240, 320, stereo=False) > 240 * 320 * 7


def test_no_upstream_is_told(tmp_path: Path) -> None:
    with pytest.raises(SlamError, match=f"no DROID-SLAM in {tmp_path}.*DROID_ROOT"):
        find_upstream({"DROID_ROOT": str(tmp_path)})
    assert find_upstream({"DROID_ROOT": str(write_standin(tmp_path / "d"))}) == tmp_path / "d"


@pytest.fixture
def process() -> Iterator[multiprocessing.Process]:
    """A real process that sleeps, in the place of upstream's second one."""
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    process.start()
    yield process
    process.kill()
    process.join()


def ended(exit_code: int) -> SimpleNamespace:
    process = multiprocessing.get_context("spawn").Process(target=os._exit, args=(exit_code,))
    process.start()
    process.join()
    return SimpleNamespace(backend_proc=process, video2=SimpleNamespace(ready=SimpleNamespace(value=0)))


def test_a_second_process_that_lives_is_let_live_and_ended_at_the_end(process) -> None:
    droid = SimpleNamespace(backend_proc=process)
    backend.require_alive(droid)
    assert process.is_alive()
    backend.stop_backend(droid)
    assert process.exitcode == -signal.SIGKILL
    backend.require_alive(SimpleNamespace())  # there is none
    backend.stop_backend(SimpleNamespace())


def test_a_second_process_that_dies_is_noticed(process) -> None:
    process.terminate()
    process.join()
    with pytest.raises(CrashError, match="ended with SIGTERM before its work was done"):
        backend.require_alive(SimpleNamespace(backend_proc=process))
    with pytest.raises(CrashError, match="ended with exit code 3"):
        backend.require_alive(ended(3))
    # Even with 0 it should not have ended while there are frames.
    with pytest.raises(CrashError, match="ended with exit code 0"):
        backend.require_alive(ended(0))


def test_a_second_process_without_memory_is_told_as_such(process) -> None:
    with pytest.raises(MemoryShortError, match="leave --asynchronous out"):
        backend.require_alive(ended(MemoryShortError.exit_code))
    process.kill()
    process.join()
    with pytest.raises(MemoryShortError, match="ran out of memory"):
        backend.require_alive(SimpleNamespace(backend_proc=process))


def test_the_second_process_is_waited_for_at_the_end() -> None:
    droid = ended(0)
    backend.wait_for_backend(droid)
    assert droid.video2.ready.value == 1
    with pytest.raises(CrashError, match="exit code 5"):
        backend.wait_for_backend(ended(5))


# From here on with PyTorch, and with a stand-in for upstream.


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed here; the CUDA image has it")


def make_stream(count: int = 12, **changes: object) -> Sequence:
    pictures = tuple(
        Picture(
            index=place,
            image=np.full((3, 128, 136), place, np.uint8),
            intrinsics=np.array([100.0, 100, 68, 64]),
        )
        for place in range(count)
    )
    frames = frames_at(*(f"{place / 10:.1f}" for place in range(count)))
    values = {"name": "made", "frames": frames, "pictures": pictures, "height": 128, "width": 136}
    return Sequence(**{**values, **changes})


def run(
    root: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, stream: Sequence, **options: object
) -> Estimate:
    monkeypatch.setenv("DROID_ROOT", str(root))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY / "docker" / "payload"))
    workspace.mkdir(exist_ok=True)
    asked = {"device": "cpu", "random_weights": True, **options}
    return run_engine(engine.estimate, stream, Settings(threads=1, options=asked), workspace)


def test_frames_go_through_and_come_out_with_their_stamps(
    torch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = make_stream(12, tracked_every=2)
    found = run(write_standin(tmp_path / "d"), tmp_path / "w", monkeypatch, stream, warmup=5)
    assert found.trajectory.stamps == stream.stamps
    assert found.trajectory.positions[:, 0].tolist() == list(range(12))
    assert found.facts["keyframes"] == 6
    assert found.facts["weights_sha256"] == "random"
    assert found.caveat == "the network is untrained (--random-weights): the results mean nothing"
    said = capfd.readouterr().out
    for line in (
        "device     CPU, 1 threads\n",
        "note       without a GPU this takes",
        "note       the network is untrained (--random-weights): the results mean nothing\n",
        "tracking   6/6, 6 keyframes\n",
        "filling in 12/12\n",
    ):
        assert line in said
    assert "not to be seen" not in said


def test_the_buffer_grows_and_keeps_what_it_holds(
    torch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = make_stream(40)
    found = run(write_standin(tmp_path / "d"), tmp_path / "w", monkeypatch, stream, buffer=21)
    assert "buffer     42 keyframes, 21 were too few\n" in (said := capfd.readouterr().out)
    assert "buffer     57 keyframes, 42 were too few\n" in said
    with np.load(found.files["reconstruction.npz"]) as archive:
        assert archive["tstamps"].tolist() == list(range(40))
        assert archive["images"][:, 0, 0, 0].tolist() == list(range(40))


def test_new_rows_look_as_new_ones_do(torch) -> None:
    from slam.engine.droid.memory import Room, make_room

    poses = torch.tensor([0.0, 0, 0, 0, 0, 0, 1]).repeat(SPARE + 3, 1)
    poses[:3, 0] = 5
    video = SimpleNamespace(
        counter=SimpleNamespace(value=3), tstamp=torch.zeros(SPARE + 3), poses=poses, ht=240, none=None
    )
    graph = SimpleNamespace(damping=torch.full((SPARE + 3, 2, 2), 1e-6))
    make_room(video, graph, Room(first=20, most=30, needed=99), 7)
    assert (len(video.tstamp), len(video.poses), len(graph.damping)) == (30, 30, 30)
    assert video.poses[:, 0].tolist() == [5.0] * 3 + [0.0] * 27
    assert (video.poses[:, 6] == 1).all()
    assert (graph.damping == 1e-6).all()
    video.counter.value = 13
    with pytest.raises(
        MemoryShortError, match=r"13 keyframes after 8 frames, and there is room for 13; .* larger"
    ):
        make_room(video, graph, Room(first=20, most=30, needed=99), 8)


@pytest.mark.parametrize(
    ("scenario", "error", "message"),
    [
        ("static", ReconstructionError, "the camera does not move in any of 12 frames"),
        ("few", ReconstructionError, "4 of 12 frames became keyframes, and 8 "),
        ("no numbers", ReconstructionError, "poses of 9 of 12 frames are no numbers"),
        ("no keyframes", ReconstructionError, "keyframes hold numbers that are none"),
        ("too few poses", ReconstructionError, "11 poses for 12 frames"),
        ("out of memory", MemoryShortError, "images of 136x128; lower --max-image-size or --frontend_window"),
        ("crash", CrashError, "came down with SIGABRT"),
    ],
)
def test_each_failure_has_its_message(
    torch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: str,
    error: type[SlamError],
    message: str,
) -> None:
    root = write_standin(tmp_path / "d", scenario)
    with pytest.raises(error, match=message):
        run(root, tmp_path / "w", monkeypatch, make_stream())


def test_no_gpu_is_told_and_the_cpu_never_chosen_silently(
    torch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match=r"there is no GPU here; ask for one .*--device cpu, which is slow"):
        run(write_standin(tmp_path / "d"), tmp_path / "w", monkeypatch, make_stream(), device="cuda")


def test_kernels_that_do_not_run_are_told_before_the_work(torch, monkeypatch: pytest.MonkeyPatch) -> None:
    """DROID-SLAM's leave zeros, PyTorch's raise; no GPU here does either, so the two are called for."""

    def refuse() -> None:
        raise RuntimeError("CUDA error: no kernel image is available\nfor execution on the device")

    def fill() -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    options = Options(device="cpu")
    monkeypatch.setattr(engine, "_compute_point", lambda: np.zeros(3))
    with pytest.raises(DeviceError, match=r"DROID-SLAM's kernels do not run on CPU, .*TORCH_CUDA_ARCH_LIST"):
        engine.require_device(options)
    monkeypatch.setattr(engine, "_compute_point", refuse)
    with pytest.raises(DeviceError, match=r"does not compute \(CUDA error: no kernel image is available\); "):
        engine.require_device(options)
    monkeypatch.setattr(engine, "_compute_point", fill)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        engine.require_device(options)


@pytest.mark.parametrize("kind", ["none", "text", "short", "list", "other", "shape"])
def test_files_that_are_no_weights_are_told(
    torch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "droid.pth"
    names = [f"module.update.{part}.2.{kind}" for part in ("weight", "delta") for kind in ("weight", "bias")]
    values = {name: torch.zeros(3, 4, 1, 1) if name.endswith("t") else torch.zeros(3) for name in names}
    message = {
        "none": "there are no weights at .*`invoke weights`",
        "text": "cannot be loaded as weights",
        "short": "cannot be loaded as weights",
        "list": "holds no network's weights",
        "other": "another network: 4 of 4 names are missing, such as update.delta.2.bias",
        "shape": r"another network: update.weight.2.weight is \(2, 5, 1, 1\) and not \(2, 4, 1, 1\)",
    }[kind]
    if kind == "text":
        path.write_text("<html>quota exceeded</html>")
    elif kind == "short":  # a download that was cut, in the format that the published weights may have
        torch.save(values, path, _use_new_zipfile_serialization=False)
        path.write_bytes(path.read_bytes()[:18])
    elif kind != "none":
        wrong = {**values, names[0]: torch.zeros(3, 5, 1, 1)}
        torch.save({"list": [1, 2], "other": {"a": torch.zeros(1)}, "shape": wrong}[kind], path)
    with pytest.raises(InputError, match=message):
        run(
            write_standin(tmp_path / "d"), tmp_path / "w", monkeypatch, make_stream(), weights=path,
            random_weights=False,
        )  # fmt: skip


def test_weights_of_several_gpus_and_checkpoints_of_the_training_load(
    torch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"update.{part}.2.{kind}" for part in ("weight", "delta") for kind in ("weight", "bias")]
    values = {name: torch.ones(3, 4, 1, 1) if name.endswith("t") else torch.ones(3) for name in names}
    root = write_standin(tmp_path / "d")
    for place, saved in enumerate(
        ({f"module.{name}": one for name, one in values.items()}, {"model": values})
    ):
        path = tmp_path / f"{place}.pth"
        torch.save(saved, path)
        found = run(
            root, tmp_path / f"w{place}", monkeypatch, make_stream(), weights=path, random_weights=False
        )
        assert len(str(found.facts["weights_sha256"])) == 64
        assert found.caveat is None


def test_cuda_means_the_cpu_only_within_its_block(torch) -> None:
    from slam.engine.droid.device import on_cpu

    real = torch.autocast, torch.set_num_threads
    with on_cpu():
        made = torch.zeros(2, dtype=torch.half, device="cuda:0")
        assert (made.device.type, made.dtype) == ("cpu", torch.float32)
        assert made.cuda() is made
        assert made.to(device="cuda").device.type == made.to("cuda").device.type == "cpu"
        assert torch.nn.Linear(2, 2).to("cuda:0").weight.device.type == "cpu"
        with torch.autocast(device_type="cuda", enabled=True):
            assert torch.nn.Linear(2, 2).to("cuda")(made).dtype == torch.float32
        assert torch.zeros(2, dtype=torch.float64).dtype == torch.float64
    assert (torch.autocast, torch.set_num_threads) == real
    if not torch.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError)):
            torch.zeros(2, device="cuda")
