from pathlib import Path

import pytest

from slipway.errors import ConfigError, UsageError
from slipway.model import field_names
from slipway.profile import Profile, list_profiles, load_profile, read_settings, record_values
from slipway.project import Project
from slipway.scheduler.choose import FIELDS, parse_resources
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.sif.store import tools_recipe

ENV = Path(__file__).parents[2] / "env"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "env"
    folder.mkdir()
    (folder / ".env.base").write_text("IMAGE=base-image\nDOCKERFILE=docker/Dockerfile.base\nGPUS=1\n")
    (folder / ".env.lab").write_text("IMAGE=lab-image\nENV_SEED=7\n")
    return folder


def test_a_path_starts_from_what_it_is_written_in(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert load_profile(folder, "base").code_dir == tmp_path
    assert load_profile(folder, "base", ["CODE_DIR=."]).code_dir == here
    assert load_profile(folder, "base", ["CODE_DIR=../src/"]).code_dir == tmp_path / "src"
    (folder / ".env.local").write_text("CODE_DIR=src\nCA_BUNDLE=~/ca.pem\nDROID_SLAM_SOURCE=/opt/droid\n")
    profile = load_profile(folder, "lab", ["LIETORCH_SOURCE=lietorch"])
    assert profile.code_dir == tmp_path / "src"
    assert profile.ca_bundle == Path.home() / "ca.pem"
    assert profile.sources == {"droid-slam": Path("/opt/droid"), "lietorch": here / "lietorch"}


def test_profiles_that_come_with_slipway_are_in_each_project(folder: Path) -> None:
    assert list_profiles(folder) == ["base", "cpu", "devel", "droid-slam", "lab"]
    (folder / ".env.local").write_text("SITE=hpc\n")
    droid = load_profile(folder, "droid-slam")
    assert (droid.image, droid.program, droid.site) == ("slipway-base", ("python3", "-m", "slam"), "hpc")
    assert droid.code_dir == ENV.parent / "docker" / "payload"
    (folder / ".env.cpu").write_text("IMAGE=mine\n")
    mine = load_profile(folder, "cpu")
    assert (mine.image, mine.program, mine.code_dir) == ("mine", (), folder.parent)


def test_a_record_has_paths_of_the_project_as_they_are_in_it(folder: Path) -> None:
    values = record_values(load_profile(folder, "base", ["CA_BUNDLE=/etc/ca.pem"]), folder.parent)
    assert (values["dockerfile"], values["code_dir"], values["ca_bundle"]) == (
        "docker/Dockerfile.base",
        ".",
        "/etc/ca.pem",
    )


def test_each_file_is_read_over_the_one_before(folder: Path) -> None:
    (folder / ".env.local").write_text("SITE=hpc\nTIME=30\n")
    profile = load_profile(folder, "lab", ["TIME=2-00:00:00", "ENV_SEED=8"])
    assert profile.image == "lab-image"
    assert profile.dockerfile == folder.parent / "docker" / "Dockerfile.base"
    assert profile.site == "hpc"
    assert profile.resources == FIELDS(time="2-00:00:00", gpus="1")
    assert profile.environment == {"SEED": "8"}


def test_program_is_words_as_a_shell_reads_them(folder: Path) -> None:
    profile = load_profile(folder, "base", ["PROGRAM=python3 'my train.py' --lr 0.1"])
    assert profile.program == ("python3", "my train.py", "--lr", "0.1")


def test_values_are_not_expanded(folder: Path) -> None:
    profile = load_profile(folder, "base", ["ENV_A=${HOME}/$USER"])
    (folder / ".env.lab").write_text("ENV_B=${HOME}/x\n")
    assert profile.environment == {"A": "${HOME}/$USER"}
    assert load_profile(folder, "lab").environment == {"B": "${HOME}/x"}


def test_every_documented_key_is_one_of_the_profile() -> None:
    documented = {key.lower() for key in read_settings(ENV / ".env.example")}
    own = set(field_names(Profile)) - {"name", "resources", "environment", "build_args", "origins"}
    # Of one job alone.
    assert documented == (own | set(field_names(SlurmResources))) - {"array", "dependency"}


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("base", "slipway-base"),
        ("cpu", "slipway-cpu"),
        ("devel", "slipway-cuda-devel"),
        ("droid-slam", "slipway-base"),
    ],
)
def test_profiles_of_the_repository_are_valid(name: str, image: str) -> None:
    assert load_profile(ENV, name).image == image


def test_each_profile_starts_from_its_own_image_and_slipways_tools_from_debian() -> None:
    profiles = {name: load_profile(ENV, name) for name in ("base", "cpu", "devel")}
    assert {name: one.base_image for name, one in profiles.items()} == {
        "base": "nvidia/cuda:12.6.3-devel-ubuntu22.04",
        "cpu": "debian:trixie-slim",
        "devel": "debian:trixie-slim",
    }
    assert {one.tools_base_image for one in profiles.values()} == {"debian:trixie-slim"}
    assert (
        tools_recipe(Project.find(ENV.parent), profiles["base"]).build_args["BASE_IMAGE"]
        == "debian:trixie-slim"
    )


def test_a_profile_may_have_no_program(folder: Path) -> None:
    assert load_profile(folder, "base", ["PROGRAM="]).program == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("IMAGE=a\nCUPS=2\n", ".env.lab:2: CUPS is not a key of a profile (did you mean CPUS?)"),
        ("\n# comment\nCPUS=none\n", ".env.lab:3: CPUS=none: write a whole number"),
        ("CPUS=0\n", ".env.lab:1: CPUS=0: write 1 or more"),
        ("TIME=soon\n", ".env.lab:1: TIME=soon: write it as minutes, H:MM:SS or D-HH:MM:SS"),
        ("MEM=4 GB\n", ".env.lab:1: MEM=4 GB: write it as a number with K, M, G or T"),
        ("GPUS=two gpus\n", ".env.lab:1: GPUS=two gpus: write it as a number, or a type and a number"),
        ("IMAGE=Lab/Image\n", ".env.lab:1: IMAGE=Lab/Image: write it as lower case"),
        ('PROGRAM="python3 \'x"\n', ".env.lab:1: PROGRAM has a quote without its end"),
        ("MAX_JOBS=0\n", ".env.lab:1: MAX_JOBS=0: write 1 or more"),
        (
            "PYTHON=3.10\n",
            ".env.lab:1: PYTHON=3.10: write it as the name of a package, python3 or python3.11",
        ),
        ("TORCH_CUDA_ARCH_LIST=sm_80\n", "TORCH_CUDA_ARCH_LIST=sm_80: write it as compute capabilities"),
        ("DROID_SLAM_REF=my branch\n", "DROID_SLAM_REF=my branch: write it as a commit (all 40 digits)"),
        ("IMAGE=a\nIMAGE=b\n", ".env.lab:2: IMAGE is set twice in this file"),
        ("this is no setting\n", ".env.lab:1: 'this is no setting' is not KEY=VALUE"),
        ("ENV_A-B=1\n", ".env.lab:1: ENV_A-B: what follows ENV_ is no name of a variable"),
        ("CPUS\n", ".env.lab:1: 'CPUS' is not KEY=VALUE"),
        ("IMAGE=\n", ".env.lab:1: IMAGE is empty"),
    ],
)
def test_a_wrong_line_is_named(folder: Path, content: str, message: str) -> None:
    (folder / ".env.lab").write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_profile(folder, "lab")
    assert message in str(caught.value)


def test_an_unknown_profile_names_the_nearest(folder: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no profile 'labb' in .* \(did you mean lab\?\); profiles: base, cpu, devel, "
    ):
        load_profile(folder, "labb")


@pytest.mark.parametrize("word", ["CPUS", "=3", "a b=3", ""])
def test_an_override_without_key_and_value_is_refused(folder: Path, word: str) -> None:
    with pytest.raises(UsageError, match="write it as KEY=VALUE"):
        load_profile(folder, "base", [word])


def test_resources_of_the_command_line_are_checked() -> None:
    assert parse_resources({"cpus": "4", "mem": None}) == FIELDS(cpus=4)
    with pytest.raises(UsageError, match=r"^--time tomorrow: write it as minutes"):
        parse_resources({"time": "tomorrow"})


def test_resources_fill_in_what_is_open() -> None:
    first, second = FIELDS(cpus=4), FIELDS(cpus=1, time="10", gpus="a100:2")
    assert first.over(second) == FIELDS(cpus=4, time="10", gpus="a100:2")
