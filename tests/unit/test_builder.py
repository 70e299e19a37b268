"""What runs in the builder stage of Dockerfile.base, with real Python and git; nvcc and torch are fakes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
NVCC = """#!/bin/sh
# A fake: it prints what nvcc 12.4 prints, and compiles nothing.
case $1 in
    --version) echo "Cuda compilation tools, release $FAKE_RELEASE, V$FAKE_RELEASE.131" ;;
    --list-gpu-arch) printf 'compute_%s\\n' 50 60 70 75 80 86 89 90 ;;
    *) exit 1 ;;
esac
"""
# A fake, too: what toolchain.py asks of PyTorch.
TORCH = """
import os
from types import SimpleNamespace as Names

__version__ = "2.7.1+cu126"
version = Names(cuda=os.environ["FAKE_TORCH_CUDA"] or None)
_C = Names(_cuda_getArchFlags=lambda: os.environ["FAKE_TORCH_FLAGS"])
"""
FLAGS = "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """The folder /build of the image, as the Dockerfile fills it."""
    folder = tmp_path / "build"
    folder.mkdir()
    for file in (
        *(ROOT / "docker/builder").glob("*.py"),
        ROOT / "docker/payload/slam/selftest/architecture.py",
    ):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def run(
    build: Path, *words: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, *map(str, words)]
    environment = {**os.environ, **(environment or {}), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        argv, cwd=build, env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )


def check_toolchain(
    build: Path, wanted: str, release: str = "12.4", cuda: str = "12.6", flags: str = FLAGS
) -> tuple[int, str]:
    (build / "nvcc").write_text(NVCC)
    (build / "nvcc").chmod(0o755)
    (build / "torch.py").write_text(TORCH)
    fakes = {"FAKE_RELEASE": release, "FAKE_TORCH_CUDA": cuda, "FAKE_TORCH_FLAGS": flags}
    path = f"{build}{os.pathsep}{os.environ['PATH']}"
    done = run(build, "toolchain.py", environment={**fakes, "TORCH_CUDA_ARCH_LIST": wanted, "PATH": path})
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.mark.parametrize("wanted", ["7.0;8.0;9.0", "8.0 8.9", "9.0a+PTX", "8.6+PTX;"])
def test_architectures_that_both_tools_know_pass(build: Path, wanted: str) -> None:
    assert check_toolchain(build, wanted) == (0, f"nvcc 12.4, PyTorch 2.7.1+cu126 of CUDA 12.6: {wanted}")


@pytest.mark.parametrize(
    ("wanted", "tools", "message"),
    [
        ("8.0", {"release": "13.0"}, "nvcc is of CUDA 13.0 and PyTorch of CUDA 12.6; their major versions"),
        ("8.0", {"cuda": ""}, "the locked PyTorch is one without CUDA"),
        (
            "8.0;10.0",
            {},
            "this nvcc (12.4) does not know architecture 10.0; it knows 5.0, 6.0, 7.0, 7.5, 8.0",
        ),
        ("7.0", {"flags": "sm_75 sm_80 sm_90"}, "this PyTorch has no kernels for architecture 7.0"),
        ("8.0;Hopper", {}, "TORCH_CUDA_ARCH_LIST: 'Hopper' is not an architecture; write numbers such as"),
        ("", {}, "TORCH_CUDA_ARCH_LIST: '' is not an architecture"),
    ],
)
def test_tools_that_do_not_fit_are_told_early(
    build: Path, wanted: str, tools: dict[str, str], message: str
) -> None:
    code, said = check_toolchain(build, wanted, **tools)
    assert code == 1
    assert said.startswith(f"slipway: {message}")
    assert "\n" not in said


def test_an_image_without_nvcc_is_told(build: Path) -> None:
    (build / "torch.py").write_text(TORCH)
    fakes = {"FAKE_TORCH_CUDA": "12.6", "FAKE_TORCH_FLAGS": FLAGS, "TORCH_CUDA_ARCH_LIST": "8.0"}
    done = run(build, "toolchain.py", environment={**fakes, "PATH": "/no/such"})
    assert (done.returncode, done.stderr) == (
        1,
        "slipway: BASE_IMAGE has no nvcc; choose an image with the CUDA compiler\n",
    )


def test_two_images_of_one_kind_fit(build: Path) -> None:
    assert run(build, "pair.py", "tell", "facts.json").returncode == 0
    assert json.loads((build / "facts.json").read_text())["python"] == list(sys.version_info[:2])
    assert run(build, "pair.py", "check", "facts.json").returncode == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"python": [3, 1]},
            r"BASE_IMAGE has Python 3\.\d+ and RUNTIME_IMAGE has 3\.1; choose images of one",
        ),
        ({"glibc": [2, 1]}, r"BASE_IMAGE has glibc 2\.\d+, and what .* RUNTIME_IMAGE's 2\.1; choose a newer"),
    ],
)
def test_two_images_that_do_not_fit_are_told(build: Path, change: dict[str, object], message: str) -> None:
    run(build, "pair.py", "tell", "facts.json")
    facts = json.loads((build / "facts.json").read_text())
    (build / "facts.json").write_text(json.dumps({**facts, **change}))
    done = run(build, "pair.py", "check", "facts.json")
    assert done.returncode == 1
    assert re.match(f"slipway: {message}", done.stderr)


def jobs(build: Path, code: str) -> str:
    # As a module: its name is also a builtin's.
    done = run(build, "-c", f"import importlib; m = importlib.import_module('compile'); print({code})")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("cores", "memory_gb", "count"), [(2, 23.5, 2), (16, 23.5, 3), (16, 6.5, 1), (1, 128, 1), (64, 128, 19)]
)
def test_compilers_run_as_memory_allows(build: Path, cores: int, memory_gb: float, count: int) -> None:
    assert jobs(build, f"m.count_jobs({cores}, int({memory_gb}e9))") == str(count)


@pytest.mark.parametrize(
    ("file", "limit", "found"),
    [
        ("memory.max", "max\n", 20_000_000 * 1024),
        ("memory.max", "7000000000\n", 7_000_000_000),
        ("memory/memory.limit_in_bytes", "8000000000\n", 8_000_000_000),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", 20_000_000 * 1024),
        (None, "", 20_000_000 * 1024),
    ],
)
def test_memory_is_the_machines_or_the_cgroups(
    build: Path, tmp_path: Path, file: str | None, limit: str, found: int
) -> None:
    (tmp_path / "proc").mkdir()
    meminfo = "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\n"
    (tmp_path / "proc/meminfo").write_text(meminfo)
    if file:
        place = tmp_path / "sys/fs/cgroup" / file
        place.parent.mkdir(parents=True)
        place.write_text(limit)
    assert jobs(build, f"m.find_memory(m.Path({str(tmp_path)!r}))") == str(found)


def test_a_number_of_compilers_that_is_given_counts(build: Path) -> None:
    assert jobs(build, "m.choose_jobs('5')") == "(5, '5 compilers at once, as MAX_JOBS says')"


def test_eigen_is_linked_where_a_submodule_is_empty(build: Path, tmp_path: Path) -> None:
    upstream, lietorch = tmp_path / "droid-slam", tmp_path / "lietorch"
    (lietorch / "lietorch").mkdir(parents=True)
    (lietorch / "eigen").mkdir()
    upstream.mkdir()
    for folder, eigen in ((upstream, "thirdparty/lietorch/eigen"), (lietorch, "eigen")):
        jobs(build, f"m.link_eigen(m.Path({str(folder)!r}))")
        assert (folder / eigen).readlink() == Path("/usr/include/eigen3")
    own = tmp_path / "own"
    (own / "lietorch").mkdir(parents=True)
    (own / "eigen/Eigen").mkdir(parents=True)
    jobs(build, f"m.link_eigen(m.Path({str(own)!r}))")
    assert not (own / "eigen").is_symlink()


def test_code_for_each_architecture_is_looked_for(build: Path) -> None:
    # As cuobjdump 12.4 printed it.
    listing = "ELF file    1: droid_backends.1.sm_70.cubin\\nELF file    2: droid_backends.2.sm_80.cubin\\n"

    def missing(wanted: str) -> str:
        code = f"import verify; print(*verify.missing_architectures({wanted!r}, '{listing}'))"
        return run(build, "-c", code).stdout.strip()

    assert missing("7.0;8.0") == ""
    assert missing("7.0;8.0;9.0") == "9.0"
    assert missing("8.6+PTX") == "8.6"  # 8.0 would run there, but is not what was asked for


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository with the names of DROID-SLAM's files, which git serves from here."""
    folder = tmp_path / "upstream"
    for name in ("setup.py", "droid_slam/droid.py", "droid_slam/droid_net.py", "src/droid_kernels.cu"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "."],
        ["commit", "--quiet", "-m", "a"],
    ):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *words], cwd=folder, check=True)
    return folder


def fetch(build: Path, tmp_path: Path, repository: object, ref: str, **origin: object) -> tuple[int, str]:
    """Fetch DROID-SLAM from a repository; lietorch is local."""
    context = tmp_path / "context"
    lietorch = ("setup.py", "lietorch/groups.py", "lietorch/src/lietorch_gpu.cu")
    for name in lietorch:
        (context / "lietorch" / name).parent.mkdir(parents=True, exist_ok=True)
        (context / "lietorch" / name).write_text(name)
    (context / "droid-slam").mkdir()
    remote = {"local": False, "commit": None, "dirty": False, "note": "", **origin}
    (context / "droid-slam/origin.json").write_text(json.dumps(remote))
    local = {"local": True, "commit": "c" * 40, "dirty": True, "note": ""}
    (context / "lietorch/origin.json").write_text(json.dumps(local))
    environment = {"DROID_SLAM_REPO": str(repository), "DROID_SLAM_REF": ref}
    done = run(build, "fetch.py", context, tmp_path / "src", environment=environment)
    return done.returncode, (done.stdout + done.stderr).strip()


def test_a_commit_and_a_branch_are_fetched(build: Path, upstream: Path, tmp_path: Path) -> None:
    argv = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(argv, cwd=upstream, check=True, capture_output=True, text=True).stdout.strip()
    for ref, place in ((commit, tmp_path / "a"), ("main", tmp_path / "b")):
        place.mkdir()
        said = f"droid-slam: commit {commit}\nlietorch: commit {'c' * 40}, with changes"
        assert fetch(build, place, upstream, ref) == (0, said)
        source = place / "src/droid-slam"
        assert (source / "src/droid_kernels.cu").read_text() == "src/droid_kernels.cu"
        assert not (source / ".git").exists()
        origin = json.loads((place / "src/droid-slam.json").read_text())
        assert origin == {"repository": str(upstream), "commit": commit, "dirty": False}
        assert sorted(path.name for path in (place / "src/lietorch").iterdir()) == ["lietorch", "setup.py"]


def test_what_cannot_be_fetched_names_the_folder_to_set(build: Path, tmp_path: Path) -> None:
    code, said = fetch(build, tmp_path, tmp_path / "no such.git", "main", note="/x is empty")
    assert code == 1
    assert said.startswith("slipway: main of ")
    assert "no such.git' does not appear to be a git repository (/x is empty). Where that cannot be" in said
    assert "DROID_SLAM_SOURCE=FOLDER in env/.env.local" in said


def test_an_unknown_ref_is_told(build: Path, upstream: Path, tmp_path: Path) -> None:
    code, said = fetch(build, tmp_path, upstream, "no-such-branch")
    assert code == 1
    assert "no-such-branch" in said.splitlines()[-1]
    assert said.startswith("slipway: ")


def test_another_project_is_refused(build: Path, upstream: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "rm", "--quiet", "-r", "src"], cwd=upstream, check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, "commit", "--quiet", "-m", "b"], cwd=upstream, check=True)
    code, said = fetch(build, tmp_path, upstream, "main")
    assert (code, "what was fetched as droid-slam has no src/droid_kernels.cu" in said) == (1, True)
