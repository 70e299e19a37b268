"""The examples' programs, as far as they need no image; the integration tests run them in jobs."""

import importlib.util
import struct
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
WIDTH, HEIGHT, FRAMES = 320, 240, 12


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{Path(path).stem}", EXAMPLES / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look for what their fields' types mean.
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


frames = load("own-video/frames.py")
launch = load("dask/launch.py")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Grey frames, each brighter than the one before, with a red upper left quarter."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        image = np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)
        image[: HEIGHT // 2, : WIDTH // 2] = (0, 0, 255)
        writer.write(image)
    writer.release()
    return path


def turn(video: Path) -> None:
    """Have its metadata say that it is to be shown a quarter turned clockwise, as of a phone held upright."""
    content = bytearray(video.read_bytes())
    # ISO/IEC 14496-12, 8.3.2: in version 0 the matrix begins 40 bytes into the box's fields.
    matrix = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, HEIGHT * one, 0, 1 << 30)
    video.write_bytes(content)


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    return image


def test_every_third_frame_is_taken(video: Path, tmp_path: Path) -> None:
    frames.main([str(video), str(tmp_path / "clip")])
    images = sorted((tmp_path / "clip" / "images").iterdir())
    assert [image.name for image in images] == ["000000.jpg", "000003.jpg", "000006.jpg", "000009.jpg"]
    levels = [read(image)[HEIGHT - 20, WIDTH - 20].mean() for image in images]
    assert levels == pytest.approx([0, 30, 60, 90], abs=8)
    assert not (tmp_path / "clip" / "calib.txt").exists()


def test_a_video_of_a_phone_held_upright_is_upright(video: Path, tmp_path: Path) -> None:
    turn(video)
    frames.main([str(video), str(tmp_path / "clip"), "--every", "6"])
    image = read(tmp_path / "clip" / "images" / "000006.jpg")
    assert image.shape == (WIDTH, HEIGHT, 3)
    # The red quarter has gone from the upper left to the upper right.
    assert image[40, HEIGHT - 40, 2] > 200
    assert image[40, 40, 2] < 100


def test_frames_are_made_smaller_and_the_guess_is_theirs(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames.main([str(video), str(tmp_path / "clip"), "--size", "160", "--fov", "90"])
    assert read(tmp_path / "clip" / "images" / "000000.jpg").shape == (120, 160, 3)
    comment, numbers = (tmp_path / "clip" / "calib.txt").read_text().splitlines()
    assert comment.startswith("# A guess, from a field of view of 90 degrees.")
    assert [float(word) for word in numbers.split()] == [80, 80, 80, 60]
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("clip: 4 frames of 160x120, every 3. of clip.mp4")
    assert told[1].startswith("calib.txt is a guess, from 90 degrees: ")


def test_what_is_no_video_or_there_already_is_told(video: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(SystemExit, match="no video in it that OpenCV can read"):
        frames.main([str(text), str(tmp_path / "clip")])
    (tmp_path / "old" / "images").mkdir(parents=True)
    with pytest.raises(SystemExit, match="images is there already"):
        frames.main([str(video), str(tmp_path / "old")])


@pytest.mark.parametrize("words", [("--every", "0"), ("--fov", "180"), ("--size", "big")])
def test_wrong_numbers_are_refused(video: Path, words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        frames.main([str(video), "clip", *words])
    assert ended.value.code == 2


def test_a_worker_has_what_the_job_has_on_its_node() -> None:
    slurm = {
        "SLURM_NODEID": "2",
        "SLURM_NNODES": "3",
        "SLURM_CPUS_PER_TASK": "8",
        "SLURM_MEM_PER_NODE": "4000",
    }
    node = launch.Node.of(slurm)
    assert (node.index, node.nodes) == (2, 3)
    words = launch.worker_command(Path("/out/scheduler.json"), node)
    options = dict(zip(words[2::2], words[3::2], strict=False))
    assert options["--name"].endswith("-2")
    assert words[words.index("--nthreads") + 1] == "8"
    assert words[words.index("--memory-limit") + 1] == "4000MiB"
    alone = launch.Node.of({})
    assert (alone.index, alone.nodes, alone.memory_mib) == (0, 1, None)


def test_the_tunnel_leads_to_the_schedulers_node() -> None:
    told = launch.tunnel_command("tcp://10.0.0.7:39999", 41234)
    assert told == "ssh -N -L 8787:10.0.0.7:41234 LOGIN_NODE"


@pytest.mark.parametrize("name", ["dask", "own-video", "train-pytorch"])
def test_an_example_is_a_repository_of_its_own(name: str) -> None:
    from slipway.profile import load_profile
    from slipway.project import find_root

    folder = EXAMPLES / name
    assert find_root(folder) == folder
    profile = load_profile(folder / "env", "base")
    assert profile.dockerfile == folder / "Dockerfile"
    assert profile.code_dir == folder
    assert {"/.slipway/", "/results/"} <= set((folder / ".gitignore").read_text().splitlines())
