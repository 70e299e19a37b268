import json
import subprocess
from pathlib import Path

import pytest

from slipway.errors import ConfigError
from slipway.image.label import checkout_labels, content_labels
from slipway.image.recipe import inputs_hash, profile_recipe
from slipway.image.source import Source, find_sources, read_source
from slipway.profile import load_profile

ROOT = Path(__file__).parents[2]
DOCKERFILE = "ARG DROID_SLAM_REPO\nARG LIETORCH_REPO\n"
DROID = ("setup.py", "droid_slam/droid.py", "src/droid_kernels.cu")
LIETORCH = ("setup.py", "lietorch/groups.py", "lietorch/src/lietorch_gpu.cu")


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    argv = ["git", *identity, "-c", "protocol.file.allow=always", *words]
    return subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def make(folder: Path, names: tuple[str, ...]) -> Path:
    """A checkout with these files, each holding its name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=all")
    return folder


@pytest.fixture
def droid(tmp_path: Path) -> Path:
    return make(tmp_path / "DROID-SLAM", DROID)


@pytest.fixture
def lietorch(tmp_path: Path) -> Path:
    return make(tmp_path / "lietorch", LIETORCH)


def test_a_dockerfile_that_compiles_nothing_has_no_sources(tmp_path: Path) -> None:
    assert find_sources("FROM scratch\n", {"droid-slam": Path("/no/such")}) == ()


def test_without_folders_both_are_fetched(tmp_path: Path) -> None:
    found = find_sources(DOCKERFILE, {"droid-slam": None, "lietorch": None})
    assert [(one.name, one.folder, one.files, one.paths()) for one in found] == [
        ("droid-slam", None, (), []),
        ("lietorch", None, (), []),
    ]
    assert [str(one) for one in found] == ["DROID-SLAM is fetched", "lietorch is fetched"]
    assert json.loads(found[0].origin()) == {"local": False, "commit": None, "dirty": False, "note": ""}


def test_a_checkouts_tracked_files_are_taken_as_they_are_now(droid: Path, lietorch: Path) -> None:
    settings = {"droid-slam": droid, "lietorch": lietorch}
    commit = git(droid, "rev-parse", "HEAD")
    found = find_sources(DOCKERFILE, settings)
    assert found[0] == Source(
        name="droid-slam",
        folder=droid,
        files=("droid_slam/droid.py", "setup.py", "src/droid_kernels.cu"),
        commit=commit,
    )
    assert found[0].paths()[0] == (droid / "droid_slam/droid.py", ".slipway/droid-slam/droid_slam/droid.py")
    assert str(found[0]) == f"DROID-SLAM from {droid} ({commit[:12]})"
    (droid / "weights.pth").write_text("not tracked")
    (droid / "src/droid_kernels.cu").write_text("changed")
    (droid / "src/link.cu").symlink_to("droid_kernels.cu")
    git(droid, "add", "src/link.cu")
    changed = read_source("droid-slam", droid, "")
    assert changed.dirty
    assert set(changed.files) == {*DROID, "src/link.cu"}
    assert str(changed).endswith(", with changes)")


def test_a_folder_without_git_is_taken_whole(tmp_path: Path) -> None:
    for name in DROID:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = read_source("droid-slam", tmp_path, "")
    assert (set(found.files), found.commit, found.dirty) == (set(DROID), None, False)


def test_lietorch_is_the_checkouts_submodule_if_that_will_do(droid: Path, lietorch: Path) -> None:
    settings = {"droid-slam": droid, "lietorch": None}
    git(droid, "submodule", "--quiet", "add", str(lietorch), "thirdparty/lietorch")
    git(droid, "commit", "--quiet", "--message=submodule")
    submodule = droid / "thirdparty/lietorch"
    upstream, found = find_sources(DOCKERFILE, settings)
    assert (found.folder, set(found.files)) == (submodule, set(LIETORCH))
    assert found.commit == git(lietorch, "rev-parse", "HEAD")
    # And with DROID-SLAM too, where other submodules would be as well.
    assert {f"thirdparty/lietorch/{name}" for name in LIETORCH} < set(upstream.files)
    (submodule / "setup.py").write_text("nvcc=['-gencode=arch=compute_60,code=sm_60']")
    found = find_sources(DOCKERFILE, settings)[1]
    assert (found.folder, found.note) == (None, f"{submodule} is one that ignores TORCH_CUDA_ARCH_LIST")
    git(droid, "submodule", "--quiet", "deinit", "--force", "thirdparty/lietorch")
    found = find_sources(DOCKERFILE, settings)[1]
    assert (found.folder, found.note) == (None, f"{submodule} is empty")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: folder / "no", "DROID_SLAM_SOURCE is {}/no, which is not a folder"),
        (lambda folder: folder / "src", "SOURCE is {}/src, which is not DROID-SLAM: it has no setup.py"),
    ],
)
def test_a_wrong_folder_is_explained(droid: Path, change, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_sources(DOCKERFILE, {"droid-slam": change(droid)})
    assert message.format(droid) in str(caught.value)


def test_a_lietorch_that_chooses_its_own_gpus_is_refused(lietorch: Path) -> None:
    (lietorch / "setup.py").write_text("nvcc=['-gencode=arch=compute_60,code=sm_60']")
    with pytest.raises(ConfigError, match=r"LIETORCH_SOURCE is .* names its own architectures \(-gencode\)"):
        find_sources(DOCKERFILE, {"lietorch": lietorch})


def test_a_checkout_that_git_cannot_read_is_explained(droid: Path) -> None:
    (droid / ".git/HEAD").write_text("nonsense")
    with pytest.raises(
        ConfigError, match=r"DROID_SLAM_SOURCE is .*, which cannot be read: .*git cannot read"
    ):
        find_sources(DOCKERFILE, {"droid-slam": droid})


def test_an_image_is_known_by_its_sources(droid: Path, lietorch: Path) -> None:
    overrides = [f"DROID_SLAM_SOURCE={droid}", f"LIETORCH_SOURCE={lietorch}"]

    def known() -> str:
        return inputs_hash(profile_recipe(load_profile(ROOT / "env", "base", overrides)), {})

    first = known()
    (droid / "notes.md").write_text("not tracked")
    (droid / "setup.py").touch()
    assert known() == first
    (droid / "setup.py").write_text("changed")
    second = known()
    (lietorch / "setup.py").write_text("changed")
    assert len({first, second, known()}) == 3


def test_what_to_do_without_a_registry_is_said_for_what_is_compiled_alone() -> None:
    hint = profile_recipe(load_profile(ROOT / "env", "base")).hint
    assert "invoke build --profile devel" in hint
    assert "DROID_SLAM_SOURCE" in hint
    assert profile_recipe(load_profile(ROOT / "env", "cpu")).hint == ""


def test_labels_say_what_is_in_the_image(droid: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("# torch==1.0\ntorch==2.7.1 \\\n    --hash=sha256:0\nnvidia-cuda-runtime-cu12==12.6.77\n")
    (droid / "setup.py").write_text("changed")
    sources = (read_source("droid-slam", droid, ""), Source(name="lietorch"))
    assert content_labels(sources, {"LIETORCH_REF": "main"}, lock) == {
        "slipway.droid-slam": git(droid, "rev-parse", "HEAD") + "-dirty",
        "slipway.lietorch": "main",
        "slipway.torch": "2.7.1",
        "slipway.cuda": "12.6.77",
    }
    commit = git(droid, "rev-parse", "HEAD")
    assert checkout_labels(droid) == {"org.opencontainers.image.revision": f"{commit}-dirty"}
    assert checkout_labels(tmp_path) == {}
