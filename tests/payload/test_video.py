"""Videos as sequences: upright, at the frames' own times, as far as they can be decoded."""

import argparse
import errno
import json
import pickle
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from slam.dataset.camera import Intrinsics
from slam.dataset.catalog import find_sequences
from slam.dataset.geometry import fit_usual_area
from slam.dataset.layout import groundtruth_of, open_sequence
from slam.dataset.recording import unpack
from slam.dataset.sequence import Choice, Sequence
from slam.errors import InputError, OutputError, SlamError
from slam.grammar import clock
from tests.payload.datasets import make_plain, noise
from tests.payload.films import PORTRAIT, SHOWN, UPRIGHT, film

SIZE = (96, 64)
TAKEN = Choice(as_taken=True, stride=1)


def images(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    return [noise(size, place) for place in range(count)]


def every_frame(path: Path) -> list[np.ndarray]:
    """The frames of a video as OpenCV decodes and turns them, blue, green, red."""
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    frames = []
    while True:
        is_read, frame = capture.read()
        if not is_read:
            return frames
        frames.append(frame)


def taken(sequence: Sequence) -> list[np.ndarray]:
    assert sequence.recording is not None
    return list(sequence.recording)


@pytest.mark.parametrize("matrix", SHOWN)
def test_frames_are_upright(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    film(tmp_path / "a.mov", images(3), codec="png", matrix=matrix)
    sequence = open_sequence(tmp_path, TAKEN)
    expected = [SHOWN[matrix](image) for image in images(3)]
    assert (sequence.height, sequence.width) == expected[0].shape[:2]
    for pixels, image in zip(taken(sequence), expected, strict=True):
        np.testing.assert_array_equal(pixels[:, :, ::-1], image)
    assert ("turned upright" in sequence.notes[0]) == (matrix != (1, 0, 0, 1))


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "avi"])
def test_pixels_are_those_of_opencv(tmp_path: Path, ending: str) -> None:
    """With frames that depend on later ones (H.264), and turned where the container can say so."""
    matrix = PORTRAIT if ending in ("mp4", "mov") else (1, 0, 0, 1)
    path = film(tmp_path / f"a.{ending}", images(12), matrix=matrix)
    expected = every_frame(path)
    sequence = pickle.loads(pickle.dumps(open_sequence(tmp_path, TAKEN)))  # noqa: S301 - our own
    assert sequence.length == len(expected) == 12
    for _ in range(2):  # it can be gone through again
        for pixels, frame in zip(taken(sequence), expected, strict=True):
            np.testing.assert_array_equal(pixels, frame)
    times = [float(stamp) for stamp in sequence.stamps]
    np.testing.assert_allclose(np.diff(times), 1 / 30, atol=1e-3)


@pytest.mark.parametrize(("aspect", "shown"), [(Fraction(4, 3), (128, 64)), (Fraction(1, 2), (96, 128))])
@pytest.mark.parametrize("matrix", [UPRIGHT, PORTRAIT])
def test_pixels_that_are_not_square_become_so(
    tmp_path: Path, aspect: Fraction, shown: tuple[int, int], matrix: tuple[int, int, int, int]
) -> None:
    """As those of camcorders, 1440x1080 shown as 1920x1080."""
    taken_as = [noise((96, 64), place) for place in range(3)]
    path = film(tmp_path / "tape.mp4", taken_as, codec="libx264rgb", qp="0", aspect=aspect, matrix=matrix)
    sequence = open_sequence(path, Choice(as_taken=True, stride=1))
    assert "its pixels are not square, and frames become" in sequence.notes[1]
    assert sequence.recording is not None
    for pixels, image in zip(sequence.recording, taken_as, strict=True):
        expected = SHOWN[matrix](cv2.resize(image, shown, interpolation=cv2.INTER_CUBIC))
        assert (sequence.height, sequence.width) == pixels.shape[:2] == expected.shape[:2]
        assert np.abs(pixels[:, :, ::-1].astype(int) - expected).mean() < 3


def test_masks_may_lie_beside_a_video(tmp_path: Path) -> None:
    film(tmp_path / "desk.mp4", [noise((96, 64), place) for place in range(3)])
    (tmp_path / "masks").mkdir()
    Image.new("L", (96, 64)).save(tmp_path / "masks" / "0.033000.png")
    sequence = open_sequence(tmp_path, Choice(as_taken=True, stride=1))
    assert [frame.mask is not None for frame in sequence.frames] == [False, True, False]


def test_timestamps_are_those_of_a_phone_that_slows_down(tmp_path: Path) -> None:
    times = [0, 33, 67, 100, 150, 200, 250, 400]
    film(tmp_path / "a.mp4", images(8), times, codec="libx264rgb", qp="0", matrix=PORTRAIT)
    sequence = open_sequence(tmp_path, TAKEN)
    assert [float(stamp) for stamp in sequence.stamps] == [time / 1000 for time in times]
    assert "(33 to 150 ms apart)" in sequence.notes[0]
    assert sequence.units.time == "s"
    assert sequence.is_video


def test_about_ten_frames_of_a_second_are_taken_where_nothing_is_said(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", images(31))
    for choice in (Choice(as_taken=True), Choice(as_taken=True, t0=2), Choice(as_taken=True, max_frames=4)):
        sequence = open_sequence(tmp_path, choice)
        assert np.diff([float(stamp) for stamp in sequence.stamps]) == pytest.approx(0.1, abs=1e-3)
        assert float(sequence.stamps[0]) == pytest.approx(0.1 * choice.t0, abs=1e-3)
        assert sequence.length == (choice.max_frames or 11 - choice.t0)
    assert sequence.notes[0].endswith("every 3. is taken")


@pytest.mark.parametrize(("start", "end"), [(0.2, 0.6), (2.95, 3.4), (3.3, None), (None, 0.3)])
def test_a_part_of_a_video(tmp_path: Path, start: float | None, end: float | None) -> None:
    """Also where it is found by seeking; key frames are two seconds apart."""
    path = film(tmp_path / "a.mp4", images(120), g="60")
    whole = every_frame(path)
    sequence = open_sequence(tmp_path, Choice(as_taken=True, stride=1, start_s=start, end_s=end))
    times = [round(place * 1000 / 30) / 1000 for place in range(120)]
    meant = [place for place, time in enumerate(times) if (start or 0) <= time <= (end or 9)]
    assert [float(stamp) for stamp in sequence.stamps] == [times[place] for place in meant]
    for pixels, place in zip(taken(sequence), meant, strict=True):
        np.testing.assert_array_equal(pixels, whole[place])


def test_droid_slam_gets_the_same_frames(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", images(6, (192, 144)), matrix=PORTRAIT)
    (tmp_path / "calib.txt").write_text("150 150 72 96\n")
    sequence = open_sequence(tmp_path, Choice(stride=2))
    preparation = fit_usual_area(Intrinsics(fx=150, fy=150, cx=72, cy=96), (144, 192))
    expected = [preparation.image(frame) for frame in every_frame(path)[::2]]
    for _ in range(2):
        for picture, image in zip(sequence.pictures, expected, strict=True):
            np.testing.assert_array_equal(picture.image, image)


def test_frames_become_files_without_a_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = film(tmp_path / "in" / "a.mp4", images(4))
    sequence = open_sequence(tmp_path / "in", TAKEN)
    files = unpack(sequence, tmp_path)
    assert [frame.image.name for frame in files.frames] == [f"{stamp}.png" for stamp in sequence.stamps]
    for frame, expected in zip(files.frames, every_frame(path), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(frame.image))[:, :, ::-1], expected)
    assert "frames     4 unpacked, " in capsys.readouterr().out
    assert unpack(files, tmp_path) is files


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "in" / "a.mp4", images(4))
    sequence = open_sequence(tmp_path / "in", TAKEN)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", refuse)
    with pytest.raises(
        OutputError, match=r"a: its frames cannot be written to .* \(No space left on device\)"
    ):
        unpack(sequence, tmp_path)


def test_a_focal_length_that_a_phone_writes_is_handed_on(tmp_path: Path) -> None:
    path = film(tmp_path / "in" / "a.mov", images(3))
    with_focal = path.with_name("b.mov")
    remux(path, with_focal, {"com.apple.quicktime.camera.focal_length.35mm_equivalent": "26"})
    path.unlink()
    sequence = open_sequence(tmp_path / "in", TAKEN)
    assert sequence.focal_35mm == 26
    assert "26 mm on 35 mm film" in sequence.notes[-1]
    (first, *_) = unpack(sequence, tmp_path).frames
    with Image.open(first.image) as image:
        assert image.getexif().get_ifd(0x8769) == {0xA405: 26}


def remux(source: Path, path: Path, words: dict[str, str]) -> None:
    import av

    with (
        av.open(str(source)) as old,
        av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as new,
    ):
        new.metadata.update(words)
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)


def test_what_a_copy_that_was_cut_short_has_is_used(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", images(60), movflags="faststart")
    whole = every_frame(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    sequence = open_sequence(tmp_path, TAKEN)
    assert 20 < sequence.length < 45
    assert "it should last until 2.00 s, and nothing after 1." in sequence.notes[1]
    for pixels, expected in zip(taken(sequence)[:20], whole, strict=False):
        np.testing.assert_array_equal(pixels, expected)


def test_damaged_frames_are_left_out(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mov", images(9), codec="png")
    data = bytearray(path.read_bytes())
    place = data.index(b"\x89PNG", data.index(b"\x89PNG", data.index(b"\x89PNG") + 1) + 1)
    data[place : place + 600] = bytes(600)
    path.write_bytes(data)
    sequence = open_sequence(tmp_path, TAKEN)
    assert sequence.length == 8
    assert sequence.notes[1].endswith("frames that are damaged, and are left out: 1")
    for pixels, image in zip(taken(sequence), [*images(9)[:2], *images(9)[3:]], strict=True):
        np.testing.assert_array_equal(pixels[:, :, ::-1], image)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: b"", "the file is empty; copy it again"),
        (lambda data: b"no video" * 99, "FFmpeg cannot read it as a video .*; copy it again, or convert it"),
        (
            lambda data: data[: len(data) // 2],
            r"its index \(moov\) is missing, as where a recording or a copy",
        ),
    ],
)
def test_what_is_no_video_is_told(tmp_path: Path, spoil, message: str) -> None:
    path = film(tmp_path / ("a.mp4" if "index" in message else "a.mkv"), images(9))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        open_sequence(tmp_path, TAKEN)


def test_what_a_video_does_not_have_is_told(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", images(9))
    for choice, message in (
        (
            Choice(as_taken=True, start_s=5.0),
            "no frame between --start and --end can be decoded; it lasts until 0",
        ),
        (Choice(as_taken=True, stride=5), "2 of 9 images are taken"),
        (Choice(mode="rgbd"), "a video has no depth; leave --depth out"),
        (Choice(mode="stereo"), "leave --stereo out"),
        (Choice(), "the camera is unknown; .*, or take --engine colmap, which finds the focal length itself"),
    ):
        with pytest.raises(InputError, match=message):
            open_sequence(tmp_path, choice)
    with pytest.raises(
        InputError, match="--start and --end are for videos and bags; use --t0 and --max-frames"
    ):
        open_sequence(make_plain(tmp_path / "plain", "500 500 328 240"), Choice(start_s=1.0))


def test_a_video_that_changes_is_told(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", images(6))
    sequence = open_sequence(tmp_path, TAKEN)
    film(path, images(3))
    with pytest.raises(InputError, match="it is not any more what it was at the beginning"):
        taken(sequence)


def test_a_video_without_its_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "a.mp4", images(3))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        SlamError, match="reading a video needs PyAV: build the image again, or `pip install av`"
    ):
        open_sequence(tmp_path, TAKEN)


def test_videos_are_found(tmp_path: Path) -> None:
    """One alone is its folder; several are a sequence each; a folder beside it is looked into."""
    for name in ("one/IMG_1.MOV", "two/walk.mp4", "two/my desk.mov", "mixed/a.mp4", "bare.mp4"):
        film(tmp_path / name.lower(), images(3)).rename(film(tmp_path / name, images(3)))
    (tmp_path / "two" / "._walk.mp4").write_bytes(b"a Mac's own")
    make_plain(tmp_path / "mixed" / "photos", "500 500 328 240")

    def found(dataset: str, *names: str) -> list[str]:
        return [one.name for one in find_sequences(tmp_path, dataset, names)]

    assert found("one") == ["one"]
    assert found("two") == ["my desk.mov", "walk.mp4"]
    assert found("two", "walk") == found("two", "walk.mp4") == ["walk.mp4"]
    assert found("two", "desk") == ["my desk.mov"]
    assert found("mixed") == ["a.mp4", "photos"]
    (bare,) = find_sequences(tmp_path, "bare.mp4")
    assert open_sequence(bare.folder, TAKEN).name == "bare"
    with pytest.raises(InputError, match=r"sequence 'run' is not in .*two, which has my desk.mov, walk.mp4"):
        found("two", "run")


def test_what_lies_beside_a_video(tmp_path: Path) -> None:
    """The calibration serves all videos of a folder, the ground truth one that is alone."""
    film(tmp_path / "a.mp4", images(3))
    (tmp_path / "calib.txt").write_text("80 80 48 32\n")
    (tmp_path / "groundtruth.txt").write_text("".join(f"{i} {i} 0 0 0 0 0 1\n" for i in range(3)))
    for place in (tmp_path, tmp_path / "a.mp4"):
        sequence = open_sequence(place, TAKEN)
        assert sequence.groundtruth == groundtruth_of(place) == tmp_path / "groundtruth.txt"
        assert sequence.intrinsics is not None
        assert sequence.intrinsics.fx == 80
    film(tmp_path / "b.mp4", images(3))
    sequence = open_sequence(tmp_path / "a.mp4", TAKEN)
    assert (sequence.groundtruth, sequence.intrinsics is None) == (None, False)


@pytest.mark.parametrize(("text", "seconds"), [("90.5", 90.5), ("1:30", 90), ("1:02:03.5", 3723.5), ("0", 0)])
def test_times_are_read(text: str, seconds: float) -> None:
    assert clock(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:-3", "a", "1:2:3:4", "inf", "1:", "nan"])
def test_other_words_are_no_times(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no time; write seconds"):
        clock(text)


@pytest.mark.long
def test_a_turned_video_of_the_room_is_reconstructed(scene: Path, tmp_path: Path, slam) -> None:
    """By COLMAP, which is told nothing of the camera; its focal length is known here, and its path."""
    rows = [line.split() for line in (scene / "groundtruth.txt").read_text().splitlines() if line[0] != "#"]
    frames = [np.asarray(Image.open(path)) for path in sorted((scene / "rgb").iterdir())]
    # Held upright: the sensor's rows are the columns that are seen.
    stored = [np.rot90(frame, 1) for frame in frames]
    film(
        tmp_path / "root" / "desk" / "desk.mp4", stored, [33 * i for i in range(8)], matrix=PORTRAIT, crf="10"
    )
    truth = "".join(f"{0.033 * i:.3f} {' '.join(row[1:])}\n" for i, row in enumerate(rows))
    (tmp_path / "root" / "desk" / "groundtruth.txt").write_text(truth)
    done = slam(
        *("--task", "infer", "--data-root", tmp_path / "root", "--dataset", "desk", "--stride", "1"),
        *("--out", tmp_path / "out", "--undistort"),
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["frames_registered"], summary["image_size"]) == (8, [320, 240])
    assert summary["camera"]["parameters"][0] == pytest.approx(320 * 525 / 640, rel=0.05)
    ate = json.loads((tmp_path / "out" / "ate.json").read_text())
    assert ate["rmse"] < 0.02 * ate["path_length"]
    assert not list((tmp_path / "out").glob(".slam*"))
    # Its frames have names, and are files where undistorted images are asked for.
    assert summary["image_folder"] == str(tmp_path / "root" / "desk" / "desk.mp4")
    rows = [row.split(",") for row in (tmp_path / "out" / "poses.csv").read_text().splitlines()[1:]]
    assert [row[1] for row in rows] == [f"{row[2]}.png" for row in rows]
    images = (tmp_path / "out" / "undistorted" / "images").iterdir()
    assert sorted(path.name for path in images) == [row[1] for row in rows]
