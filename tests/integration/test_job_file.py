"""A job from a file on the box: its images, camera, truth and weights are there, and are sent once."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from slipway.errors import DataError
from slipway.job.run import Run
from slipway.job_file.spec import load_job_file
from slipway.progress import Progress
from slipway.steps.job_file import look_at_inputs, stage_inputs
from slipway.steps.session import Choice
from slipway.steps.submit import Push, make_request, submitted
from tests.integration.small_image import SmallImageBox
from tests.job_files import CAMERA, TRUTH, make_files

# Its words, and what is in the files that they name.
PROGRAM = 'for word; do echo "$word"; [ ! -f "$word" ] || sha256sum <"$word"; done; ls /data/*/ >/out/there'
FILE = """
name: kitchen
resources: {cpus: 1, mem: 100M, time: "10"}
images: kitchen
calibration: cam.txt
groundtruth: truth.tum
weights: mine.pth
args: ["{images}", "{calibration}", "{groundtruth}", "{weights}", "a  b"]
"""


class Notes(Progress):
    """What a person is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def submit(small: SmallImageBox, file: Path, program: str = PROGRAM) -> tuple[Run, list[str]]:
    notes = Notes()
    session = replace(small.session, progress=notes)
    profile = small.choice.profile.model_copy(update={"program": ("sh", "-c", program, "sh")})
    choice = Choice(profile=profile, site=small.choice.site)
    spec = load_job_file(file)
    inputs = look_at_inputs(session, spec)
    args = spec.arguments(inputs.paths, inputs.dataset)
    request = make_request(choice, args, spec.wanted, name=spec.name)
    with submitted(session, request, Push.NEVER, partial(stage_inputs, session, choice, inputs)) as done:
        run = done.run
    return run, [note for note in notes.notes if note.startswith(("/data", "/weights"))]


def printed(small: SmallImageBox, run: Run) -> list[str]:
    ended = small.wait_for(run)
    assert ended.status.exit_code == 0, small.situation(run)
    return small.on_box(f"cat {run.run_dir}/attempt-1/log").splitlines()


def test_its_files_are_where_its_arguments_say_and_are_sent_once(
    small: SmallImageBox, tmp_path: Path
) -> None:
    folder = make_files(tmp_path)
    file = folder / "run.yaml"
    file.write_text(FILE)
    run, notes = submit(small, file)
    assert len(notes) == 4
    assert all(note.endswith(" sent") and "nothing" not in note for note in notes), notes
    lines = printed(small, run)
    images, camera, truth, weights = run.args[:4]
    assert {images, camera, truth, weights, "a  b"} <= set(lines)
    assert run.name == "kitchen"
    # Nothing has changed: nothing is sent, and the arguments are the same.
    again, notes = submit(small, file)
    assert again.args == run.args
    assert len(notes) == 4
    assert all(note.endswith("there already, nothing sent") for note in notes), notes
    # An image that has changed is another dataset, and the job before keeps its own.
    (folder / "kitchen" / "2.png").write_bytes((folder / "kitchen" / "1.png").read_bytes())
    other, notes = submit(small, file)
    assert other.args[0] != images
    assert other.args[1:] == run.args[1:]
    assert [note for note in notes if "nothing sent" not in note] == [notes[1]]
    for one in (again, other):
        assert printed(small, one)


def test_a_task_has_camera_and_truth_beside_the_images(small: SmallImageBox, tmp_path: Path) -> None:
    folder = make_files(tmp_path)
    file = folder / "run.yaml"
    file.write_text(FILE.partition("weights:")[0] + "task: infer\nargs: [--stride, 2]\n")
    program = 'echo "$@"; cd /data/$4 && ls && cat calib.txt groundtruth.txt'
    run, notes = submit(small, file, program)
    name = run.args[3]
    assert run.args == ("--task", "infer", "--dataset", name, "--stride", "2")
    assert len(notes) == 1
    log = "\n".join(printed(small, run))
    assert "0.png\n1.png\n2.png\ncalib.txt\ngroundtruth.txt\n" + CAMERA + TRUTH.rstrip() in log
    again, notes = submit(small, file, program)
    assert again.args == run.args
    assert [note.partition(", ")[2] for note in notes] == ["there already, nothing sent"]
    printed(small, again)


def test_weights_that_are_not_staged_are_missed_before_the_job(small: SmallImageBox, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text('weights: other.pth\nargs: ["{weights}"]\n')
    with pytest.raises(DataError) as caught:
        submit(small, file)
    assert "weights: box has no other.pth, and there is no such file here" in str(caught.value)
