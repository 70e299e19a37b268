"""DROID-SLAM's options, on the command line and as they are chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from slam.arguments import build_parser
from slam.dataset import tum
from slam.engine.droid.options import Options, choose, describe, find_changes
from slam.errors import InputError, UsageError
from slam.grammar import given

# As upstream's demo.py has them.
DEMO = {
    "beta": 0.3,
    "filter_thresh": 2.4,
    "warmup": 8,
    "keyframe_thresh": 4.0,
    "frontend_thresh": 16.0,
    "frontend_window": 25,
    "frontend_radius": 2,
    "frontend_nms": 1,
    "backend_thresh": 22.0,
    "backend_radius": 2,
    "backend_nms": 3,
}


def read(*argv: str) -> dict[str, object]:
    return given(build_parser({}).read(list(argv)), Options)


def test_nothing_is_asked_for_unless_it_is_on_the_command_line() -> None:
    assert read() == {}
    assert {name: getattr(choose({}, {}), name) for name in DEMO} == DEMO
    assert choose({}, {}).device == "cuda"


def test_every_option_of_the_demo_can_be_given_by_its_name() -> None:
    argv = [word for name in DEMO for word in (f"--{name}", "7")]
    assert read(*argv) == dict.fromkeys(DEMO, 7)


def test_the_command_line_goes_before_the_dataset_and_that_before_defaults() -> None:
    options = choose({"warmup": 12, "filter_thresh": 1.5}, read("--filter_thresh", "2.0", "--pth"))
    assert (options.warmup, options.filter_thresh, options.keyframe_thresh) == (12, 2.0, 4.0)
    assert options.pth


def test_untrained_weights_make_every_frame_a_keyframe_unless_told_otherwise() -> None:
    assert choose({"filter_thresh": 1.5}, read("--random-weights")).filter_thresh == 0
    options = choose({}, read("--random-weights", "--keyframe_thresh", "3"))
    assert (options.filter_thresh, options.keyframe_thresh) == (0, 3)
    with pytest.raises(UsageError, match="exclude each other"):
        choose({}, read("--random-weights", "--weights", "w.pth"))


def test_flags_for_a_screen_are_taken_and_change_nothing() -> None:
    assert read("--disable_vis", "--save_headless", "--upsample", "--stereo", "--depth") == {}


def test_devices() -> None:
    asked = read("--device", "cpu", "--backend_device", "cuda:1", "--weights", "a/b.pth", "--buffer", "64")
    assert asked == {
        "device": "cpu",
        "backend_device": "cuda:1",
        "weights": Path("a/b.pth"),
        "buffer": 64,
    }


def test_gpus_without_a_gpu_are_refused() -> None:
    with pytest.raises(UsageError, match="--backend_device name GPUs; leave them out with --device cpu"):
        choose({}, read("--device", "cpu", "--backend_device", "cuda:1"))


def test_only_what_is_used_is_recorded() -> None:
    usual = describe(choose({}, {}))
    assert usual["weights"] == "/weights/droid.pth"
    assert not {"frontend_device", "backend_device"} & set(usual)
    tried = describe(choose({}, read("--random-weights", "--device", "cpu", "--asynchronous")))
    assert set(usual) - set(tried) == {"weights"}
    pair = describe(choose({}, read("--asynchronous", "--backend_device", "cuda:1")))
    assert (pair["frontend_device"], pair["backend_device"]) == ("cuda", "cuda:1")


def test_what_makes_another_trajectory_than_the_datasets_settings() -> None:
    def found(*argv: str) -> tuple[str, ...]:
        return find_changes(tum.SETTINGS, describe(choose(tum.SETTINGS, read(*argv))))

    assert found() == found("--warmup", "12", "--beta", "0.3", "--device", "cuda") == ()
    assert found("--buffer", "64", "--pth", "--filter_count", "3") == ()
    assert found("--filter_thresh", "2", "--weights", "mine.pth") == ("--filter_thresh", "--weights")
    assert found("--random-weights", "--device", "cpu") == (
        "--filter_thresh",
        "--keyframe_thresh",
        "--device",
        "--random-weights",
    )
    assert found("--asynchronous") == ("--asynchronous",)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--device", "gpu"], "'gpu' is not one of cuda, cpu"),
        (["--backend_device", "cpu"], "'cpu' is not `cuda`"),
        (["--backend_device", "cuda:x"], "'cuda:x' is not `cuda`"),
        (["--beta", "nan"], "'nan' is not a number"),
        (["--warmup", "3"], "'3' is not a whole number from 4"),
        (["--buffer", "0"], "'0' is not a whole number from 1"),
        (["--fronted_window", "3"], "did you mean --frontend_window"),
    ],
)
def test_wrong_options_are_told(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(*argv)


def test_a_dataset_cannot_ask_for_what_there_is_not() -> None:
    with pytest.raises(InputError, match="asks for colour"):
        choose({"colour": 1}, {})


def test_the_image_chooses_the_engine() -> None:
    assert build_parser({"SLAM_ENGINE": "droid"}).read([]).engine == "droid"
    assert build_parser({}).read([]).engine == "colmap"
    assert build_parser({"SLAM_ENGINE": "droid"}).read(["--engine", "colmap"]).engine == "colmap"


def test_upstream_gets_every_name_of_its_own_demo() -> None:
    from slam.engine.droid.upstream import make_arguments

    arguments = make_arguments(
        Options(),
        root=Path("/d"),
        weights=Path("/w"),
        image_size=(240, 320),
        buffer=99,
        stereo=True,
        threads=3,
    )
    assert {name: getattr(arguments, name) for name in DEMO} == DEMO
    assert (arguments.image_size, arguments.buffer, arguments.stereo) == ([240, 320], 99, True)
    assert (arguments.disable_vis, arguments.upsample, arguments.asynchronous) == (True, True, False)
