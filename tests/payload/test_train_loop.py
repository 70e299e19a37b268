"""Trainings as processes, around a stand-in for DROID-SLAM: checkpoints, resumes, signals, accidents.

They need PyTorch, and the engine's own modules for running DROID-SLAM on the CPU.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.payload.footage import make_footage
from tests.payload.standin_training import make_standin

pytest.importorskip("torch", reason="PyTorch is not installed here")
pytest.importorskip("tensorboard", reason="TensorBoard is not installed here")

SMALL = (
    "--device", "cpu", "--crop", 128, 160, "--n_frames", 3, "--fmin", 1, "--iters", 2, "--restart_prob", 0.5,
    "--workers", 0, "--log-every", 1,
)  # fmt: skip

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[[list[str], dict[str, str], Path], "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scene and the stand-in."""
    folder = tmp_path_factory.mktemp("train")
    make_footage(folder / "data" / "wall")
    make_standin(folder / "droid")
    return folder


@pytest.fixture
def environment(place: Path, job_environment: dict[str, str]) -> dict[str, str]:
    # PyTorch's own imports warn.
    kept = {name: value for name, value in job_environment.items() if name != "PYTHONWARNINGS"}
    return {**kept, "DROID_ROOT": str(place / "droid"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def argv(place: Path) -> Callable[..., list[str]]:
    def build(*arguments: object) -> list[str]:
        words = ("--task", "train", "--datapath", place / "data", "--graph-cache", place / "graph", *SMALL)
        return [sys.executable, "-m", "slam", *map(str, (*words, *arguments))]

    return build


@pytest.fixture
def train(argv: Callable[..., list[str]], environment: dict[str, str]) -> Run:
    """Run a small training with these arguments, and these variables set."""

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv(*arguments), capture_output=True, encoding="utf-8", env={**environment, **variables},
            timeout=300, check=False,
        )  # fmt: skip

    return run


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def losses(out: Path) -> str:
    return (out / "losses.csv").read_text()


def run_once(place: Path, out: Path, *arguments: object) -> Path:
    environment = {**os.environ, "DROID_ROOT": str(place / "droid"), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2] / "docker" / "payload")
    words = ("--datapath", place / "data", "--graph-cache", place / "graph", *SMALL, "--out", out, *arguments)
    command = [sys.executable, "-m", "slam", "--task", "train", *map(str, words)]
    subprocess.run(command, check=True, env=environment, timeout=300, stdout=subprocess.DEVNULL)
    return out


@pytest.fixture(scope="module")
def whole(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of an unbroken training of 24 steps: two epochs of ten, and some of the third."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return run_once(place, out, "--steps", 24, "--save-every", 4, "--keep", 3)


@pytest.fixture(scope="module")
def pair(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of an unbroken training of two processes."""
    out = tmp_path_factory.mktemp("pair") / "out"
    return run_once(place, out, "--gpus", 2, "--steps", 6, "--save-every", 3)


def test_a_training_leaves_all_its_files(whole: Path) -> None:
    import torch

    assert names(whole) == [
        "checkpoints", "losses.csv", "summary.json", "tensorboard", "training.png", "weights.pth",
    ]  # fmt: skip
    kept = [f"droid_{step:06d}.{kind}" for step in (16, 20, 24) for kind in ("ckpt", "pth")]
    assert names(whole / "checkpoints") == kept
    summary = json.loads((whole / "summary.json").read_text())
    assert (summary["finished"], summary["steps"], summary["samples"]) == (True, 24, 10)
    rows = losses(whole).splitlines()
    assert rows[0] == "step,epoch,lr,loss,gradient_norm,tr_error,residual,f_error"
    assert [row.split(",")[:2] for row in rows[1:]] == [
        [str(step), str((step - 1) // 10)] for step in range(1, 25)
    ]
    weights = torch.load(whole / "weights.pth", weights_only=True)
    assert set(weights) == {
        f"module.{part}.{kind}" for part in ("fnet", "update") for kind in ("weight", "bias")
    }


def test_tensorboard_has_the_same_numbers(whole: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole / "tensorboard")).Reload()
    shown = [event.value for event in events.Scalars("loss")]
    assert shown == pytest.approx(
        [float(row.split(",")[3]) for row in losses(whole).splitlines()[1:]], rel=1e-6
    )


@pytest.mark.parametrize("step", [16, 20])
def test_a_resumed_training_is_the_unbroken_one(whole: Path, train: Run, tmp_path: Path, step: int) -> None:
    previous = tmp_path / "previous"
    shutil.copytree(whole, previous)
    for later in range(step + 4, 25, 4):
        (previous / "checkpoints" / f"droid_{later:06d}.ckpt").unlink()
    said = ok(
        train("--steps", 24, "--save-every", 4, "--out", tmp_path / "out", SLIPWAY_PREVIOUS=str(previous))
    )
    assert f"resume     step {step} of 24" in said
    assert losses(tmp_path / "out") == losses(whole)
    assert (tmp_path / "out" / "weights.pth").read_bytes() == (whole / "weights.pth").read_bytes()


def test_sample_loading_processes_change_nothing(whole: Path, train: Run, tmp_path: Path) -> None:
    ok(train("--steps", 24, "--workers", 2, "--out", tmp_path))
    assert losses(tmp_path) == losses(whole)


def test_two_processes_share_the_work_and_resume_exactly(pair: Path, train: Run, tmp_path: Path) -> None:
    assert losses(pair).splitlines()[6].startswith("6,1,")  # five steps are an epoch of ten samples
    resume = pair / "checkpoints" / "droid_000003.ckpt"
    ok(train("--gpus", 2, "--steps", 6, "--out", tmp_path / "out", "--resume", resume))
    assert losses(tmp_path / "out") == losses(pair)

    alone = train("--steps", 6, "--out", tmp_path / "alone", "--resume", resume)
    assert alone.returncode == 4
    assert "cannot go on from it: processes 2 then, 1 now" in alone.stderr
    assert not (tmp_path / "alone" / "checkpoints").exists()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a command that writes to a log, and end it with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as file:
            processes.append(subprocess.Popen(command, stdout=file, stderr=file, env=environment))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()


def wait_for(text: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_saves_and_the_next_attempt_goes_on(
    whole: Path,
    train: Run,
    argv: Callable[..., list[str]],
    start: Start,
    environment: dict[str, str],
    tmp_path: Path,
    number: int,
) -> None:
    out, log = tmp_path / "attempt-1", tmp_path / "log"
    process = start(argv("--steps", 24, "--out", out), {**environment, "SLEEP": "0.2"}, log)
    wait_for("step       3/24", log)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert "before it was finished" in log.read_text()
    assert "Traceback" not in log.read_text()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["finished"] is False
    assert names(out / "checkpoints") == [f"droid_{summary['steps']:06d}.{kind}" for kind in ("ckpt", "pth")]

    ok(train("--steps", 24, "--out", tmp_path / "attempt-2", SLIPWAY_PREVIOUS=str(out)))
    assert losses(tmp_path / "attempt-2") == losses(whole)


def test_a_later_attempt_goes_on_from_the_last_one_and_not_from_where_the_first_began(
    whole: Path, train: Run, tmp_path: Path
) -> None:
    """A job that is requeued is asked for the same again, ``--resume`` too."""
    begun = tmp_path / "begun"
    shutil.copytree(whole, begun)
    for step in (20, 24):
        (begun / "checkpoints" / f"droid_{step:06d}.ckpt").unlink()
    first = tmp_path / "attempt-1"
    died = train(
        "--steps", 24, "--save-every", 2, "--resume", begun, "--restart_prob", 0.5, "--out", first,
        BREAK="crash:7",
    )  # fmt: skip
    assert died.returncode == 7
    newest = names(first / "checkpoints")[-2]
    assert newest > "droid_000016.ckpt"
    said = ok(train("--steps", 24, "--resume", begun, "--out", tmp_path / "2", SLIPWAY_PREVIOUS=str(first)))
    assert f"resume     step {int(newest[6:12])} of 24" in said
    assert losses(tmp_path / "2") == losses(whole)


def test_a_broken_checkpoint_does_not_push_out_good_ones(whole: Path, train: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "checkpoints" / "droid_000024.ckpt").write_bytes(b"")
    (out / "checkpoints" / "droid_000020.ckpt").unlink()
    died = train(
        "--steps", 24, "--save-every", 1, "--keep", 1, "--out", out, "--resume", out, BREAK="crash:9"
    )
    assert died.returncode == 7
    kept = [name for name in names(out / "checkpoints") if name.endswith(".ckpt")]
    assert len(kept) == 1
    assert "droid_000016.ckpt" < kept[0] < "droid_000024.ckpt"
    ok(train("--steps", 24, "--out", out, "--resume", out))
    assert losses(out) == losses(whole)


def test_going_back_does_not_overwrite_what_came_after(whole: Path, train: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    back = train("--steps", 24, "--out", out, "--resume", out / "checkpoints" / "droid_000016.ckpt")
    assert back.returncode == 4
    assert "holds checkpoints of later steps, such as droid_000024.ckpt; name another folder" in back.stderr
    assert names(out / "checkpoints") == names(whole / "checkpoints")
    assert losses(out) == losses(whole)


def children(process: subprocess.Popen[bytes]) -> list[str]:
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def test_a_signal_that_one_process_hears_stops_all_after_the_same_step(
    pair: Path,
    train: Run,
    argv: Callable[..., list[str]],
    start: Start,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    out, log = tmp_path / "attempt-1", tmp_path / "log"
    process = start(argv("--gpus", 2, "--steps", 6, "--out", out), {**environment, "SLEEP": "0.5"}, log)
    wait_for("step       2/6", log)
    os.kill(int(children(process)[1]), signal.SIGUSR1)
    assert process.wait(60) == 128 + signal.SIGUSR1, log.read_text()
    assert "Traceback" not in log.read_text()
    ok(train("--gpus", 2, "--steps", 6, "--out", tmp_path / "attempt-2", SLIPWAY_PREVIOUS=str(out)))
    assert losses(tmp_path / "attempt-2") == losses(pair)


def command_of(process: str) -> str:
    return Path(f"/proc/{process}/cmdline").read_text()


def test_a_signal_before_a_process_is_ready_for_it_is_no_crash(
    argv: Callable[..., list[str]], start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    process = start(argv("--steps", 24, "--out", tmp_path / "out"), environment, tmp_path / "log")
    while not any("slam.train.rank" in command_of(child) for child in children(process)):
        time.sleep(0.001)
    # The parent is ready by now, and its child still reads Python's own modules.
    time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == 128 + signal.SIGUSR1
    assert "stopped by SIGUSR1" in (tmp_path / "log").read_text()


def test_a_signal_while_the_data_are_checked_is_not_kept_waiting(
    place: Path, argv: Callable[..., list[str]], start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        shutil.copytree(place / "data" / "wall", tmp_path / "data" / name)
    # Who reads it waits for somebody who writes.
    (tmp_path / "data" / "b" / "images" / "005.png").unlink()
    os.mkfifo(tmp_path / "data" / "b" / "images" / "005.png")
    log, out = tmp_path / "log", tmp_path / "out"
    words = argv("--steps", 24, "--out", out, "--datapath", tmp_path / "data", "--graph-cache", out / "graph")
    process = start(words, environment, log)
    wait_for("checked    a", log)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == 128 + signal.SIGUSR1
    assert "Traceback" not in log.read_text()


def test_a_full_disk_is_told_and_leaves_the_last_checkpoint(
    argv: Callable[..., list[str]], environment: dict[str, str], tmp_path: Path
) -> None:
    words = argv("--steps", 4000, "--save-every", 5, "--restart_prob", 0, "--out", tmp_path)
    # Files of at most 20 kB: enough for a checkpoint of the stand-in, but not for all rows of losses.
    limited = ["bash", "-c", 'ulimit -f 20; exec "$@"', "bash", *words]
    done = subprocess.run(
        limited, capture_output=True, encoding="utf-8", env=environment, timeout=300, check=False
    )
    assert done.returncode == 5
    assert f"{tmp_path}: it cannot be written (File too large); make room, then go on with" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(names(tmp_path / "checkpoints")) == 6


def test_a_killed_sample_loading_process_is_told(
    argv: Callable[..., list[str]], start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    words = argv("--steps", 24, "--workers", 1, "--out", tmp_path / "out")
    process = start(words, {**environment, "SLEEP": "0.3"}, log)
    wait_for("step       2/24", log)
    (trainer,) = children(process)
    (loader,) = Path(f"/proc/{trainer}/task/{trainer}/children").read_text().split()
    os.kill(int(loader), signal.SIGBUS)
    assert process.wait(60) == 6
    assert "a process that loads samples was killed" in log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("flags", [(), ("--deterministic",)])
def test_deterministic_reaches_the_process_that_trains(train: Run, tmp_path: Path, flags: tuple[str]) -> None:
    said = ok(train("--steps", 3, "--out", tmp_path, *flags, BREAK="settings:1"))
    assert f"deterministic {bool(flags)}\n" in said
    assert f"cublas {':4096:8' if flags else None}\n" in said


def test_an_attempt_that_dies_at_once_loses_nothing(whole: Path, train: Run, tmp_path: Path) -> None:
    first = tmp_path / "attempt-1"
    shutil.copytree(whole, first)
    (first / "checkpoints" / "droid_000024.ckpt").unlink()
    second = tmp_path / "attempt-2"
    died = train("--steps", 24, "--out", second, SLIPWAY_PREVIOUS=str(first), BREAK="kill:1")
    assert died.returncode == 6
    assert "there was not enough memory" in died.stderr
    shutil.rmtree(first)
    ok(train("--steps", 24, "--out", tmp_path / "attempt-3", SLIPWAY_PREVIOUS=str(second)))
    assert losses(tmp_path / "attempt-3") == losses(whole)


def test_a_finished_training_has_nothing_left_to_do(whole: Path, train: Run, tmp_path: Path) -> None:
    ok(train("--steps", 24, "--out", tmp_path, SLIPWAY_PREVIOUS=str(whole), BREAK="crash:1"))
    assert losses(tmp_path) == losses(whole)
    assert (tmp_path / "weights.pth").read_bytes() == (whole / "weights.pth").read_bytes()
    assert json.loads((tmp_path / "summary.json").read_text())["finished"] is True


def test_a_broken_checkpoint_is_refused_and_the_one_before_it_used(
    whole: Path, train: Run, tmp_path: Path
) -> None:
    previous = tmp_path / "previous"
    shutil.copytree(whole, previous)
    newest, middle, oldest = (previous / "checkpoints" / f"droid_{step:06d}.ckpt" for step in (24, 20, 16))
    newest.write_bytes(newest.read_bytes()[:2000])
    flipped = bytearray(middle.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    middle.write_bytes(flipped)
    said = ok(train("--steps", 24, "--out", tmp_path / "out", SLIPWAY_PREVIOUS=str(previous)))
    assert f"{newest}: this checkpoint is broken" in said
    assert f"{middle}: this checkpoint is broken" in said
    assert "resume     step 16 of 24" in said
    assert losses(tmp_path / "out") == losses(whole)

    oldest.write_bytes(b"")
    none = train("--steps", 24, "--out", tmp_path / "none", SLIPWAY_PREVIOUS=str(previous))
    assert none.returncode == 4
    assert "all 3 checkpoints in it are broken" in none.stderr


@pytest.mark.parametrize(
    ("accident", "code", "message"),
    [
        (
            "nan:3",
            10,
            "the loss is not a finite number in step 3, and the network was left as it was before it",
        ),
        ("memory:3", 6, "the GPU's memory does not suffice; lower --batch (now 1), --n_frames (3)"),
        ("crash:3", 7, "the training came down; what it said is above"),
    ],
)
def test_an_accident_is_told_and_leaves_the_last_checkpoint(
    train: Run, tmp_path: Path, accident: str, code: int, message: str
) -> None:
    done = train("--steps", 8, "--save-every", 2, "--restart_prob", 0, "--out", tmp_path, BREAK=accident)
    assert done.returncode == code
    assert message in done.stderr
    assert ("an accident of the network's" in done.stderr) == accident.startswith("crash")
    assert names(tmp_path / "checkpoints") == ["droid_000002.ckpt", "droid_000002.pth"]


def test_a_checkpoint_of_another_network_is_told(whole: Path, train: Run, tmp_path: Path) -> None:
    fork = make_standin(tmp_path / "fork")
    path = fork / "droid_slam" / "droid_net.py"
    path.write_text(
        path.read_text().replace("Linear(3, 2)", "Linear(3, 4)").replace("Linear(2, 7)", "Linear(4, 7)")
    )
    done = train("--steps", 24, "--out", tmp_path / "out", "--resume", whole, DROID_ROOT=str(fork))
    assert done.returncode == 4
    assert "droid_000024.ckpt: it is of another network (" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_accident_of_one_process_ends_all_with_its_reason(train: Run, tmp_path: Path) -> None:
    done = train("--gpus", 2, "--steps", 8, "--out", tmp_path, BREAK="memory:2:1")
    assert done.returncode == 6
    assert "the GPU's memory does not suffice" in done.stderr
    assert "Traceback" not in done.stderr


def test_weights_are_a_beginning_and_parts_can_be_left_as_they_are(
    whole: Path, train: Run, tmp_path: Path
) -> None:
    import torch

    begun = whole / "weights.pth"
    ok(train("--steps", 3, "--out", tmp_path / "a", "--ckpt", begun, "--freeze", "fnet", "--lr", 0.01))
    before, after = (torch.load(path, weights_only=True) for path in (begun, tmp_path / "a" / "weights.pth"))
    assert torch.equal(before["module.fnet.weight"], after["module.fnet.weight"])
    assert not torch.equal(before["module.update.weight"], after["module.update.weight"])

    done = train("--steps", 3, "--out", tmp_path / "b", "--freeze", "gnet")
    assert done.returncode == 4
    assert "--freeze gnet: no parameter's name begins so; the network has fnet, update" in done.stderr


def test_what_does_not_fit_a_checkpoint_is_told(whole: Path, train: Run, tmp_path: Path) -> None:
    other = train("--steps", 30, "--lr", 0.1, "--out", tmp_path, "--resume", whole)
    assert other.returncode == 4
    assert "steps 24 then, 30 now; lr 0.00025 then, 0.1 now" in other.stderr
    again = train("--steps", 24, "--out", whole)
    assert again.returncode == 4
    assert f"go on with --resume {whole}" in again.stderr
    weights = train("--steps", 24, "--out", tmp_path, "--resume", whole / "weights.pth")
    assert "weights are for --ckpt, not for --resume" in weights.stderr
    empty = train("--steps", 24, "--out", tmp_path, "--resume", tmp_path)
    assert "no checkpoint in it" in empty.stderr


def node_of(number: int) -> dict[str, str]:
    """SLURM's variables of one of two nodes, which both are this machine."""
    return {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_STEP_NUM_NODES": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "127.0.0.[1-2]",
        "SLURM_NODEID": str(number),
    }


def test_two_nodes_meet_by_slurms_variables(
    pair: Path, argv: Callable[..., list[str]], start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    logs = [tmp_path / f"log-{node}" for node in range(2)]
    words = argv("--steps", 6, "--out", tmp_path / "out")
    # Both are this machine, and write to one output folder as nodes of a job do.
    nodes = [start(words, {**environment, **node_of(node)}, log) for node, log in enumerate(logs)]
    codes = [node.wait(200) for node in nodes]
    assert codes == [0, 0], [log.read_text() for log in logs]
    assert losses(tmp_path / "out") == losses(pair)
    assert "result" in logs[0].read_text()
    assert "result" not in logs[1].read_text()


def test_nodes_with_unlike_numbers_of_processes_are_told(
    argv: Callable[..., list[str]], start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    logs = [tmp_path / f"log-{node}" for node in range(2)]
    nodes = [
        start(
            argv("--steps", 6, "--out", tmp_path / "out", "--gpus", 1 + node),
            {**environment, **node_of(node)},
            log,
        )
        for node, log in enumerate(logs)
    ]
    assert nodes[0].wait(100) == 8, logs[0].read_text()
    assert "the job's nodes have 1, 2 processes" in logs[0].read_text()
    # srun ends the others, if they have not found it out themselves.
    nodes[1].terminate()
    assert nodes[1].wait(60) in (8, 128 + signal.SIGTERM, 1)
    assert all("Traceback" not in log.read_text() for log in logs)


def test_a_node_that_waits_for_the_first_one_hears_signals(
    argv: Callable[..., list[str]], start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 10_000 + os.getpid() % 20_000)) as first:
        process = start(argv("--steps", 6, "--out", tmp_path / "out"), {**environment, **node_of(1)}, log)
        first.settimeout(120)
        connection, _ = first.accept()
        # It never gets an answer.
        with connection:
            process.send_signal(signal.SIGUSR1)
            assert process.wait(60) == 128 + signal.SIGUSR1
    assert "stopped by SIGUSR1" in log.read_text()


def test_torchrun_can_start_the_processes(
    pair: Path, argv: Callable[..., list[str]], environment: dict[str, str], tmp_path: Path
) -> None:
    _, *words = argv("--steps", 6, "--out", tmp_path)
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        *words,
    ]
    done = subprocess.run(torchrun, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path) == losses(pair)
