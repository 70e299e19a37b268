"""A job's file: its keys, its arguments, and what is refused of the files that it names."""

import re
from pathlib import Path

import pytest

from slam.dataset import files as payload
from slipway.errors import ConfigError, DataError, SlipwayError, UsageError
from slipway.job_file import look
from slipway.job_file.inputs import Inputs, find_inputs, gather
from slipway.job_file.spec import JobFile, load_job_file
from slipway.progress import NullProgress
from tests.job_files import TRUTH, make_files, make_png
from tests.unit.test_program import project, run

__all__ = ["project"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_files(tmp_path / "files")


def load(folder: Path, text: str) -> JobFile:
    file = folder / "run.yaml"
    file.write_text(text)
    return load_job_file(file)


def inputs_of(folder: Path, text: str) -> tuple[JobFile, Inputs]:
    spec = load(folder, text)
    spec.check()
    return spec, find_inputs(spec, folder.parent / "memory", NullProgress())


def arguments_of(folder: Path, text: str) -> tuple[str, ...]:
    spec, inputs = inputs_of(folder, text)
    return spec.arguments(inputs.paths, inputs.dataset)


def test_values_are_the_text_that_stands_there(folder: Path) -> None:
    spec = load(
        folder,
        "profile: cpu\nsite: box\nname: x\nresources: {time: 1:00:00, gpus: a100:1, continue-after-limit: 3,"
        ' sbatch: [--comment=a]}\nargs: [--lr, 1e-3, 007, yes, \'{"a": 1}\', "{{x}}"]\n',
    )
    assert spec.arguments({}, None) == ("--lr", "1e-3", "007", "yes", '{"a": 1}', "{x}")
    assert {key: value for key, value in spec.wanted if value} == {
        "time": "1:00:00",
        "gpus": "a100:1",
        "continue_after_limit": 3,
        "sbatch": ("--comment=a",),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("imags: x", "imags is not a key here (did you mean images?); there are: profile, site, name"),
        ("args: --lr 3", "args: write a list, such as [one, two]; it is '--lr 3'"),
        ("site:", "site is empty; write a value, or leave it out"),
        ("task: inferr", "task: write 'infer', 'train', 'evaluate' or 'check'; it is 'inferr'"),
        ("images: [a, b]", "images: write a folder, a video, or {dataset: NAME} for one that is staged"),
        ("images: {datset: a}", "images: write a folder, a video, or {dataset: NAME}"),
        ("images: {dataset: ../a}", "images: write the name that it was staged by"),
        ("resources: {tme: 3}", "resources.tme is no option of a job (did you mean time?); there are: time"),
        (
            "resources: {time: soon}",
            "resources.time: write it as minutes, H:MM:SS or D-HH:MM:SS; it is 'soon'",
        ),
        ("resources: {cpus: [1]}", "resources.cpus: write one value, and no list"),
        ("resources: {sbatch: --hold}", "resources.sbatch: write a list, such as [--comment=mine]"),
        ("a: [", "run.yaml:1: this is not YAML: "),
        ("- a", "expected keys such as images and args; docs/howto/from-a-file.md explains them"),
    ],
)
def test_a_file_that_is_wrong_is_refused(folder: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    assert said in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--config .*none\.yaml: there is no such file; docs/howto/from-a"):
        load_job_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("args: ['{weights}']", "args have {weights}, and there is no key weights"),
        (
            "args: ['{image}']",
            "args have {image} (did you mean images?), which is none of images, calibration",
        ),
        (
            "images: kitchen\nargs: [x]",
            "no argument says where the program finds images; write {images} in args",
        ),
        (
            "task: evaluate\nimages: kitchen\nweights: mine.pth",
            "weights: task: evaluate takes none; leave the key out",
        ),
        (
            "task: infer\nimages: {dataset: tum}\ncalibration: cam.txt",
            "calibration: it goes beside images of this machine, and there are none",
        ),
        ("task: infer\nimages: there", "/there: there is no such folder or file; one that is staged already"),
        ("task: infer\nimages: empty", "/empty is empty"),
        ("task: infer\nimages: texts", "texts has no images (.avif, .bmp"),
        ("task: infer\nimages: texts", "there are files of these kinds: .txt"),
        ("task: infer\nimages: kitchen/0.png", "0.png is one image; name the folder that it is in"),
        ("task: infer\nimages: cam.txt", "cam.txt is no folder, and no video or bag (.3gp"),
        ("task: infer\nimages: fake.mp4", "fake.mp4 is no video or bag, by how it begins"),
        ("task: infer\nimages: none.mp4", "none.mp4 is empty"),
        (
            "task: infer\nimages: broken",
            (
                "3 of 4 images in BROKEN cannot be opened: a.jpg is empty, "
                "b.png is no image, by how it begins, d.png is cut off"
            ),
        ),
        ("task: infer\nimages: own\ncalibration: cam.txt", "own has calib.txt already"),
        (
            "task: infer\nimages: kitchen\ncalibration: no.txt",
            "calibration: FOLDER/no.txt: there is no such file",
        ),
        (
            "task: infer\nimages: kitchen\ncalibration: three.txt",
            "three.txt: 3 numbers; expected `fx fy cx cy`",
        ),
        (
            "task: infer\nimages: kitchen\ncalibration: words.txt",
            "'500 500 x 240' is not all numbers; expected",
        ),
        (
            "task: infer\nimages: kitchen\ncalibration: minus.txt",
            "the focal lengths -5 and 500 must be positive",
        ),
        ("task: infer\nimages: kitchen\ncalibration: two.txt", "2 lines of numbers; expected"),
        ("task: infer\nimages: kitchen\ncalibration: few.yaml", "few.yaml has fewer than four numbers"),
        ("task: infer\nimages: kitchen\ncalibration: bad.json", "bad.json is no JSON"),
        ("task: infer\nimages: kitchen\ncalibration: mine.pth", "mine.pth is no text"),
        (
            "task: infer\nimages: kitchen\ncalibration: cam.cfg",
            "the program reads those of .json, .txt, .xml",
        ),
        ("task: infer\nimages: kitchen\ngroundtruth: words.txt", "words.txt has no row of numbers"),
        ("task: infer\nimages: kitchen\nweights: cam.txt", "cam.txt is no checkpoint of PyTorch"),
        ("task: infer\nimages: kitchen\nweights: program.pth", "program.pth holds more than tensors"),
        (
            "task: infer\nimages: kitchen\nweights: ./no.pth",
            "no.pth: there is no such file; write a file of weights",
        ),
    ],
)
def test_what_is_wrong_with_the_files_is_said(folder: Path, text: str, said: str) -> None:
    for name in ("empty", "texts", "broken", "own"):
        (folder / name).mkdir()
    (folder / "texts" / "a.txt").write_text("a")
    (folder / "broken" / "a.jpg").write_bytes(b"")
    (folder / "broken" / "b.png").write_text("text")
    (folder / "broken" / "d.png").write_bytes(make_png(1)[:-5])
    for place in ("broken", "own"):
        (folder / place / "c.png").write_bytes(make_png(1))
    (folder / "own" / "calib.txt").write_text("1 1 1 1")
    (folder / "fake.mp4").write_text("this is no video")
    (folder / "none.mp4").write_bytes(b"")
    (folder / "three.txt").write_text("500 500 320")
    (folder / "words.txt").write_text("500 500 x 240")
    (folder / "minus.txt").write_text("-5 500 320 240")
    (folder / "two.txt").write_text("500 500 320 240\n500 500 320 240\n")
    (folder / "few.yaml").write_text("width: 640\nheight: 480\n")
    (folder / "bad.json").write_text("{1 2 3 4")
    (folder / "cam.cfg").write_text("1 2 3 4")
    program = Path(__file__).parent / "data" / "program.pth"
    (folder / "program.pth").write_bytes(program.read_bytes())
    with pytest.raises(SlipwayError) as caught:
        inputs_of(folder, text)
    said = said.replace("BROKEN", str(folder / "broken")).replace("FOLDER", str(folder))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("calib.txt", "517.3, 516.5, 318.6, 255.3, 0.26 -0.95 -0.005 0.002 1.16\n"),
        ("K.txt", "[[500 0 320]\n[0 500 240]\n[0 0 1]]\n"),
        ("K.txt", "500 0 320\n0 500 240\n0 0 1\n0.1 0.2 0 0\n"),
        ("cameras.txt", "# COLMAP\n1 PINHOLE 640 480 500 500 320 240\n"),
        ("calib.txt", "P0: 7.1e+02 0 6.0e+02 0 0 7.1e+02 1.8e+02 0 0 0 1 0\n"),
        ("cam.yaml", "%YAML:1.0\nCamera.fx:500\nCamera.fy: 500\nCamera.cx: 320\nCamera.cy: 240\n"),
        ("cam.json", '{"fx": 500, "fy": 500, "cx": 320, "cy": 240}'),
    ],
)
def test_calibrations_that_the_program_reads_pass(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    look.check_calibration(tmp_path / name)


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\x18ftypmp42",
        b"RIFF\0\0\0\0AVI LIST",
        b"\x1aE\xdf\xa3",
        b"\0\0\x01\xba",
        b"G@\0\x10",
        b"\0\0\0\0G@",
    ],
)
def test_videos_are_known_by_how_they_begin(tmp_path: Path, head: bytes) -> None:
    video = tmp_path / "desk.mov"
    video.write_bytes(head + bytes(64))
    look.check_images(video)


def test_files_are_known_by_the_same_endings_as_in_the_container() -> None:
    assert look.IMAGES == payload.SUFFIXES
    assert look.VIDEOS == payload.VIDEOS
    assert look.BAGS == payload.BAGS


def test_a_task_is_told_where_its_data_are(folder: Path) -> None:
    text = "task: infer\nimages: kitchen\ncalibration: cam.txt\ngroundtruth: truth.tum\nweights: mine.pth\n"
    spec, inputs = inputs_of(folder, f"{text}args: [--stride, 2]\n")
    (upload,) = inputs.uploads
    assert re.fullmatch(r"kitchen-[0-9a-f]{8}", upload.name)
    assert inputs.weights is not None
    assert re.fullmatch(r"mine-[0-9a-f]{8}\.pth", inputs.weights.name)
    assert spec.arguments(inputs.paths, inputs.dataset) == (
        *("--task", "infer", "--dataset", upload.name),
        *("--weights", f"/weights/{inputs.weights.name}", "--stride", "2"),
    )
    assert inputs.paths["calibration"] == f"/data/{upload.name}/calib.txt"
    # It goes beside the images under the names that the program looks for.
    made = gather(upload, folder.parent / "state")
    assert sorted(path.name for path in made.iterdir()) == ["calib.txt", "groundtruth.txt"]
    assert (made / "groundtruth.txt").read_text() == TRUTH
    train = arguments_of(folder, text.replace("infer", "train"))
    assert train[4:] == ("--ckpt", f"/weights/{inputs.weights.name}")


def test_the_name_is_that_of_the_content(folder: Path) -> None:
    text = "task: infer\nimages: kitchen\ncalibration: cam.txt\n"
    first = arguments_of(folder, text)
    (folder / "kitchen").rename(folder / "hall")
    (folder / "hall").rename(folder / "kitchen")
    assert arguments_of(folder, text) == first
    (folder / "cam.txt").write_text("400 400 320 240\n")
    other = arguments_of(folder, text)
    assert other != first
    (folder / "kitchen" / "1.png").write_bytes(make_png(9))
    assert arguments_of(folder, text) not in (first, other)


def test_a_program_of_ones_own_is_told_by_its_arguments(folder: Path) -> None:
    (folder / "my video.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    text = "images: my video.mp4\ncalibration: cam.txt\nweights: droid.pth\n"
    args = arguments_of(
        folder, f'{text}args: ["--in={{images}}", --calib, "{{calibration}}", "{{weights}}"]\n'
    )
    assert re.fullmatch(r"--in=/data/my-video-[0-9a-f]{8}/my video\.mp4", args[0])
    assert re.fullmatch(r"/data/cam-[0-9a-f]{8}/cam\.txt", args[2])
    # No such file is here: it is the name of staged ones.
    assert args[3] == "/weights/droid.pth"


def test_a_dataset_that_is_staged_is_only_named(folder: Path) -> None:
    spec, inputs = inputs_of(folder, "task: infer\nimages: {dataset: tum/fr1}\n")
    assert inputs.uploads == ()
    assert spec.arguments(inputs.paths, inputs.dataset) == ("--task", "infer", "--dataset", "tum/fr1")


def test_what_cannot_be_read_is_refused_and_not_left_out(folder: Path) -> None:
    (folder / "kitchen" / "out.png").symlink_to(folder / "cam.txt")
    with pytest.raises(DataError, match=r"1 of 4 images .* out\.png is no image"):
        inputs_of(folder, "task: infer\nimages: kitchen\n")
    (folder / "kitchen" / "out.png").unlink()
    (folder / "kitchen" / "list").symlink_to(folder / "cam.txt")
    with pytest.raises(DataError, match=r"not all of it can be sent:\n.*leads out of the folder"):
        inputs_of(folder, "task: infer\nimages: kitchen\n")


def test_a_task_that_contradicts_the_file_is_refused(folder: Path) -> None:
    spec = load(folder, "task: train\nimages: kitchen\n")
    assert spec.with_task("train").task == "train"
    with pytest.raises(UsageError, match="has task: train, which contradicts `invoke infer`"):
        spec.with_task("infer")


SITE = "scheduler: slurm\nlogin: {host: nowhere.invalid}\npaths: {scratch: /scratch}\n"


def test_the_command_shows_script_and_words_and_sends_nothing(project: Path, folder: Path) -> None:
    (project / "cluster").mkdir()
    (project / "cluster" / "hpc.yaml").write_text(SITE)
    file = folder / "run.yaml"
    file.write_text(
        "site: hpc\nname: mine\nresources: {time: 30, account: lab}\nimages: kitchen\ncalibration: cam.txt\n"
    )
    done = run(
        project, "slipway", "infer", "--config", str(file), "--time", "45", "--dry-run", "--", "--seed", "3"
    )
    assert done.returncode == 0, done.stderr
    assert "#SBATCH --time=45\n" in done.stdout
    assert "#SBATCH --account=lab\n" in done.stdout
    assert re.search(r"argv, .*: --task infer --dataset kitchen-[0-9a-f]{8} --seed 3\n", done.stdout)
    assert "would be /data/kitchen-" in done.stderr
    # What the site does not have is told with where it is asked for.
    queues = "queues: {debug: {}}\n"
    (project / "cluster" / "hpc.yaml").write_text(SITE + queues)
    file.write_text(f"{file.read_text()}task: infer\n".replace("account: lab", "partition: a"))
    for words, where in (((), f"resources.partition in {file}"), (("--partition", "b"), "--partition")):
        done = run(project, "slipway", "job", "--config", str(file), *words, "--dry-run")
        assert done.returncode != 0
        assert f"({where})" in done.stderr.replace("\n", "").replace("  ", "") or where in done.stderr
    file.write_text(file.read_text().replace("task: infer\n", ""))
    for words, said in (
        (("infer",), "`slipway infer --config run.yaml`; docs/howto/from-a-file.md shows one"),
        (("job", "--config", str(file), "--replay", "x"), "--replay does not go with --config"),
        (("job", "--config", str(file), "--each", "a=1"), "--each does not go with --config"),
        (("job", "--config", str(file), "--local"), "--local does not go with --config"),
        (("job", "--config", str(file)), "no argument says where the program finds images"),
    ):
        done = run(project, "slipway", *words)
        assert done.returncode != 0
        assert said in " ".join(done.stderr.split())


def test_short_forms_have_the_options_of_job() -> None:
    from slipway.cli.job import job
    from slipway.cli.job_file import infer

    options = {argument.name for argument in infer.get_arguments()}
    assert {argument.name for argument in job.get_arguments()} - options == {
        *("replay", "local", "each", "throttle", "pack_minutes", "per_node", "again"),
    }
