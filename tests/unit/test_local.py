"""A profile's container on this machine, before the engine is asked for it."""

from pathlib import Path, PurePosixPath

import pytest

from slipway.errors import ConfigError
from slipway.image.engine import Image
from slipway.local.copy import copy_folder
from slipway.local.mounts import LocalFolders, environment, find_mounts
from slipway.local.setting import Mount, Port, parse_mount, parse_port
from slipway.local.spec import CONFIG, LocalContainer, Machine, container_name
from slipway.profile import Profile, load_profile
from slipway.steps.local_job import missing_data

IMAGE = Image(ref="a:latest", id="sha256:1", labels={}, size_bytes=1)


def profile(folder: Path, *words: str) -> Profile:
    env = folder / "env"
    env.mkdir(exist_ok=True)
    (env / ".env.base").write_text("IMAGE=a\nDOCKERFILE=Dockerfile\nPROGRAM=run\n")
    return load_profile(env, "base", words)


def describe(folder: Path, *words: str, machine: Machine | None = None) -> LocalContainer:
    chosen, where = profile(folder, *words), LocalFolders(folder / "state", "base")
    machine = machine or Machine(user="7:8")
    return LocalContainer(
        name=container_name(folder / "state", "base"),
        profile=chosen,
        image=IMAGE,
        mounts=find_mounts(chosen, folder, where, machine, code=chosen.code_dir, out=where.out),
        environment=environment(chosen, machine),
        machine=machine,
        state=folder / "state",
    )


@pytest.mark.parametrize(
    ("word", "mount"),
    [
        ("a:/b", Mount(here=Path("/p/a"), there=PurePosixPath("/b"))),
        ("/x/../y:/b/c:rw", Mount(here=Path("/y"), there=PurePosixPath("/b/c"), writable=True)),
        ("/with:colon:/b:ro", Mount(here=Path("/with:colon"), there=PurePosixPath("/b"))),
    ],
)
def test_mounts(word: str, mount: Mount) -> None:
    assert parse_mount(word, Path("/p")) == mount


@pytest.mark.parametrize(("user", "mode"), [("0:0", "0700"), ("7:8", "1777"), (None, "0700")])
def test_podman_gives_a_home_to_root_alone(tmp_path: Path, user: str | None, mode: str) -> None:
    host = describe(tmp_path, machine=Machine(user=user, is_podman=True)).config()["HostConfig"]
    assert host["Tmpfs"] == {"/home/slipway": f"rw,exec,mode={mode}"}


@pytest.mark.parametrize("word", ["", "/a", "a:b", ":/b", "/a:/", "/a:/b/../c", "/a:/code", "/a:/out:rw"])
def test_what_is_no_mount(word: str) -> None:
    with pytest.raises(ValueError, match=r"is no mount|the job's own"):
        parse_mount(word, Path("/p"))


def test_ports() -> None:
    assert parse_port("8888", Path()) == Port(here=8888, there=8888)
    assert parse_port("9000:8888", Path()) == Port(here=9000, there=8888)


@pytest.mark.parametrize("word", ["", "x", "0", "65536", "1:2:3", "8888/udp", ":80"])
def test_what_is_no_port(word: str) -> None:
    with pytest.raises(ValueError, match="port"):
        parse_port(word, Path())


def test_a_wrong_word_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--set PORTS: PORTS: 'x' is no port"):
        profile(tmp_path, "PORTS=x")


def test_the_container_of_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "data").mkdir()
    wanted = describe(tmp_path, "ENV_A=b c", "CACHE=mine", "PORTS=9000:80", f"MOUNTS={tmp_path}:/extra:rw")
    config = wanted.config()
    assert config["Image"] == "sha256:1"
    assert config["User"] == "7:8"
    assert config["WorkingDir"] == "/code"
    assert config["Env"] == [
        "A=b c",
        "HOME=/home/slipway",
        "SLIPWAY_OUT=/out",
        "XDG_CACHE_HOME=/cache",
    ]
    host = config["HostConfig"]
    assert host["Tmpfs"] == {"/home/slipway": "rw,exec,mode=0700,uid=7,gid=8"}
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9000"}]}
    assert "DeviceRequests" not in host
    state = tmp_path / "state" / "local"
    assert {(one["Target"], one["Source"], one["ReadOnly"]) for one in host["Mounts"]} == {
        ("/code", str(tmp_path), True),
        ("/data", str(tmp_path / "data"), True),
        ("/weights", str(state / ".empty"), True),
        ("/out", str(state / "base" / "out"), False),
        ("/cache", str(state / ".cache" / "mine"), False),
        ("/extra", str(tmp_path), False),
    }


def test_gpus_and_a_display(tmp_path: Path) -> None:
    nvidia = describe(tmp_path, machine=Machine(user=None, gpus="nvidia", display=":1"))
    assert nvidia.config()["HostConfig"]["DeviceRequests"] == [{"Count": -1, "Capabilities": [["gpu"]]}]
    assert "DISPLAY=:1" in nvidia.config()["Env"]
    assert "/tmp/.X11-unix" in [str(one.there) for one in nvidia.mounts]
    cdi = describe(tmp_path, machine=Machine(user=None, gpus="cdi")).config()
    assert cdi["HostConfig"]["DeviceRequests"] == [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]


def test_other_settings_are_another_container(tmp_path: Path) -> None:
    digests = [
        describe(tmp_path, *words).config()["Labels"][CONFIG]
        for words in ((), ("ENV_A=1",), ("PORTS=80",), ())
    ]
    assert len(set(digests)) == 3
    assert digests[0] == digests[3]


def test_names_of_containers(tmp_path: Path) -> None:
    names = {
        container_name(tmp_path, "cpu"),
        container_name(tmp_path / "other", "cpu"),
        container_name(tmp_path, "a b"),
        container_name(tmp_path, "a-b"),
    }
    assert len(names) == 4
    assert all(name.replace("-", "").isalnum() for name in names)


def test_a_folder_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--set DATA_DIR: DATA_DIR=.*/no, which is not a folder"):
        describe(tmp_path, f"DATA_DIR={tmp_path}/no")
    with pytest.raises(ConfigError, match=r"--set MOUNTS: .*/no is not there"):
        describe(tmp_path, f"MOUNTS={tmp_path}/no:/a")


def test_outputs_are_copied_over_older_ones(tmp_path: Path) -> None:
    source = tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("new")
    (source / "link").symlink_to("deep")
    (tmp_path / "into" / "deep").mkdir(parents=True)
    (tmp_path / "into" / "deep" / "file").write_text("older")
    (tmp_path / "into" / "other").write_text("stays")
    for _ in range(2):
        copied = copy_folder(source, tmp_path / "into")
        assert (copied.files, copied.size_bytes) == (2, 3 + len("deep"))
    assert (tmp_path / "into" / "deep" / "file").read_text() == "new"
    assert (tmp_path / "into" / "link").readlink() == Path("deep")
    assert sorted(path.name for path in (tmp_path / "into").iterdir()) == ["deep", "link", "other"]


def test_data_that_is_not_on_this_machine_is_told(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    args = ["--in=/data/room/left", "/data/poses/poses.txt", "--dataset", "door"]
    notes = [*missing_data(args, tmp_path)]
    assert [note.partition(" here, ")[0] for note in notes] == ["/data has no 'door'", "/data has no 'poses'"]
