"""What a conversion is made of: layouts, the .sif's own tables, the comparison, what stays after failures."""

import hashlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import urllib3

from slipway.errors import ConversionError, EngineError, SpaceError
from slipway.image.engine import Image
from slipway.project import Project
from slipway.sif.check import compare
from slipway.sif.conversion import (
    _REMEDIES,
    Conversion,
    _run_in_tools,
    container_config,
    convert_command,
    explain_failure,
)
from slipway.sif.environment import SCRIPT, environment_layer, is_hard
from slipway.sif.file import read_sif
from slipway.sif.kept import Sif, _forget_older, _keep, find_sif, sha256
from slipway.sif.layout import Layout, write_layout
from slipway.workspace import abandoned, check_space, workspace

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("convert", ROOT / "singularity" / "convert.py")
assert SPEC
assert SPEC.loader
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


def archive(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return buffer.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def saved(layers: list[bytes], env: list[str] | None = None, **changes: Any) -> dict[str, bytes]:
    """The files of an archive as Engine 20.10 writes it."""
    config = {
        "architecture": "amd64",
        "config": {"Env": env or []},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}" for layer in layers]},
    }
    content = json.dumps({**config, **changes}).encode()
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "c.json", "RepoTags": ["a:latest"], "Layers": names}]
    files = {"c.json": content, **dict(zip(names, layers, strict=True))}
    return {**files, "manifest.json": json.dumps(manifest).encode()}


def in_pieces(content: bytes, size: int = 1000) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def manifest_of(layout: Path) -> Any:
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    return json.loads((layout / "blobs" / "sha256" / entry["digest"][7:]).read_text())


def test_an_archive_of_the_older_form_becomes_a_layout(tmp_path: Path) -> None:
    layers = [archive({"a": b"1"}), archive({"b": b"2" * 5000})]
    layout = write_layout(in_pieces(archive(saved(layers))), tmp_path / "l")
    manifest = manifest_of(layout.path)
    assert [(one["digest"][7:], one["size"], one["mediaType"]) for one in manifest["layers"]] == [
        (digest(layer), len(layer), "application/vnd.oci.image.layer.v1.tar") for layer in layers
    ]
    for one in (*manifest["layers"], manifest["config"]):
        assert sha256(layout.path / "blobs" / "sha256" / one["digest"][7:]) == one["digest"][7:]
    assert layout.size_bytes == sum(map(len, layers))
    assert layout.config["architecture"] == "amd64"


def test_a_layer_that_comes_twice_is_a_link(tmp_path: Path) -> None:
    layer = archive({"a": b"1"})
    files = saved([layer, layer])
    del files["1/layer.tar"]
    layout = write_layout([archive(files, {"1/layer.tar": "../0/layer.tar"})], tmp_path / "l")
    assert [one["digest"][7:] for one in manifest_of(layout.path)["layers"]] == [digest(layer)] * 2
    assert layout.size_bytes == len(layer)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda files: {**files, "0/layer.tar": archive({"a": b"2"})}, "damaged layer: 0/layer.tar"),
        (lambda files: {**files, "manifest.json": b"[]"}, "cannot be understood"),
        (lambda files: {**files, "manifest.json": b"[{"}, "cannot be understood"),
        (lambda files: {"x": b"y"}, "cannot be understood"),
        (lambda files: {name: text for name, text in files.items() if name != "c.json"}, "c.json"),
        (lambda files: {**files, "blobs/sha256/../../../../x": b""}, None),
    ],
)
def test_a_damaged_archive_is_no_image(tmp_path: Path, change: Any, said: str | None) -> None:
    content = archive(change(saved([archive({"a": b"1"})])))
    if said is None:  # a name is never a place on this disk
        write_layout([content], tmp_path / "l")
        assert {path.name for path in tmp_path.iterdir()} == {"l"}
        return
    with pytest.raises(ConversionError, match=said):
        write_layout([content], tmp_path / "l")


@pytest.mark.parametrize("length", [0, 100, 1500, 3000])
def test_a_cut_archive_is_no_image(tmp_path: Path, length: int) -> None:
    content = archive(saved([archive({"a": b"1" * 3000})]))[:length]
    with pytest.raises(ConversionError):
        write_layout([content], tmp_path / "l")


HARD = [
    "A=he said \"hi\" and 'bye'",
    "B=$HOME ${PATH} $(touch x)",
    "C=`touch x`",
    "D=a\\b\\n\\",
    "E=two\nlines\n",
    "F=\\`",
    "G='\"'",
]


def test_the_script_gives_each_value_as_it_is(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(environment_layer(HARD))) as tar:
        assert tar.getnames() == [".singularity.d", ".singularity.d/env", SCRIPT]
        file = tar.extractfile(SCRIPT)
        assert file
        (tmp_path / "s.sh").write_bytes(file.read())
    for shell in ("dash", "bash"):
        said = subprocess.run(
            [shell, "-c", ". ./s.sh; exec cat /proc/self/environ"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "G": "mine"},
            capture_output=True,
            check=True,
        ).stdout.decode()
        there = set(said.split("\0"))
        assert set(HARD[:-1]) <= there
        assert "G=mine" in there
        assert not (tmp_path / "x").exists()


def test_only_what_apptainer_would_change_is_moved(tmp_path: Path) -> None:
    assert [pair for pair in HARD if not is_hard(pair)] == []
    easy = ["X=it's  fine; *?[a] # ! é", "Y=", "not.a.name=$x"]
    assert [pair for pair in easy if is_hard(pair)] == []
    layout = write_layout([archive(saved([archive({"a": b"1"})], [*easy, "A=$x"]))], tmp_path / "l")
    manifest = manifest_of(layout.path)
    blobs = layout.path / "blobs" / "sha256"
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    assert config["config"]["Env"] == easy
    assert config["rootfs"]["diff_ids"][1:] == [manifest["layers"][1]["digest"]]
    assert (blobs / manifest["layers"][1]["digest"][7:]).read_bytes() == environment_layer(["A=$x"])
    # The image's own configuration is what was saved.
    assert layout.config["config"]["Env"] == [*easy, "A=$x"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "cut"), (b"\0" * 40000, "does not begin"), (b"#!/usr/bin/env run-singularity\n", "cut")],
)
def test_what_is_no_sif_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.sif").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_sif(tmp_path / "x.sif")


CONFIG = {
    "Env": ["PATH=/bin", "A=$x", "B=b", "LD_LIBRARY_PATH=/l", "HOME=/h", "a.b=c"],
    "Entrypoint": ["/e", "a b"],
    "Cmd": None,
    "Labels": {"l": "m"},
    "User": "zed",
    "WorkingDir": "/w",
}
FACTS: dict[str, Any] = {
    "attempt": "root",
    "labels": {"l": "m", "org.label-schema.schema-version": "1.0"},
    "runscript": "#!/bin/sh",
    "config": {**CONFIG, "Env": [pair for pair in CONFIG["Env"] or [] if pair != "A=$x"]},
    "has_shell": True,
    "closed": [],
    "environment": ["PATH=/bin", "A=$x", "B=b", "LD_LIBRARY_PATH=/l:/.singularity.d/libs", "HOME=/root"],
    "entrypoint": ["/e", "a b"],
    "command": [],
}


def test_the_same_is_the_same() -> None:
    findings = compare(CONFIG, FACTS)
    assert findings.mismatches == ()
    assert [note.split(":")[0].split(";")[0] for note in findings.notes] == [
        "Apptainer leaves out ENV a.b",
        "Apptainer sets HOME itself, so the image's ENV does not count there.",
        "The image's USER is zed",
    ]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"environment": ["PATH=/bin", "B=b"]}, "A is '$x' in the image and None in the .sif"),
        ({"environment": [*FACTS["environment"], "B=c"]}, "B is 'b' in the image and 'c' in the .sif"),
        ({"entrypoint": ["/e", "a", "b"]}, "Entrypoint is"),
        ({"command": ["x"]}, "Cmd is None"),
        ({"labels": {"l": "n"}}, "the label 'l' is 'm'"),
        ({"labels": None}, "`apptainer inspect` cannot read it"),
        ({"config": {**FACTS["config"], "WorkingDir": "/"}}, "WorkingDir is '/w'"),
        ({"config": {**FACTS["config"], "User": None}}, "User is 'zed'"),
    ],
)
def test_a_difference_is_named(facts: dict[str, Any], said: str) -> None:
    (problem,) = compare(CONFIG, {**FACTS, **facts}).mismatches
    assert said in problem


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"closed": [f"/srv/{n}" for n in range(9)]}, "/srv/4 and 4 more: a job cannot"),
        ({"has_shell": False, "environment": None}, "no /bin/sh, which each of Slipway's jobs starts with"),
        ({"environment": None, "why_not_run": "FATAL: no fuse"}, "was not looked at: FATAL: no fuse"),
        ({"attempt": "--fix-perms", "remedies": ["do this"]}, "setuid bits are gone. do this"),
    ],
)
def test_what_one_should_know_is_a_note(facts: dict[str, Any], said: str) -> None:
    without = {name: value for name, value in {**FACTS, **facts}.items() if value is not None}
    findings = compare(CONFIG, without)
    assert findings.mismatches == ()
    assert [note for note in findings.notes if said in note]


# Recorded from Apptainer 1.4.5.
WORDS = {
    "User not listed in /etc/subuid, trying root-mapped namespace": "--add-subuids",
    "FATAL:   could not use fakeroot: no mapping entry found in /etc/subuid for zed": "--add-subuids",
    "ERROR  : Failed to create user namespace: not allowed to create user namespace": "userns",
    "FATAL:   /etc/subuid mapping found but no user namespace available for fakeroot": "userns",
    "newgidmap: write to gid_map failed: Operation not permitted": "--reinstall uidmap",
    "squashfuse_ll exited: fuse: device not found, try 'modprobe fuse' first": "modprobe fuse",
    'Error for command "build": unknown flag: --mksquashfs-args': "--compression gzip",
    'FATAL ERROR: Compressor "zstd" is not supported!': "--compression gzip",
}


@pytest.mark.parametrize(("line", "remedy"), WORDS.items())
def test_a_failure_keeps_the_words_and_names_the_remedy(line: str, remedy: str) -> None:
    error = explain_failure("a.sif", "in slipway-apptainer", 255, ["INFO:    Starting build...", line])
    assert isinstance(error, ConversionError)
    assert f"could not make a.sif (exit code 255):\n  INFO:    Starting build...\n  {line}\n" in str(error)
    assert remedy in str(error)


def test_no_room_is_an_error_of_its_own() -> None:
    line = "FATAL:   While performing build: write /image/x: no space left on device"
    error = explain_failure("a.sif", "on this machine", 255, [line])
    assert isinstance(error, SpaceError)
    assert "SLIPWAY_STATE" in str(error)


def test_the_container_is_not_privileged() -> None:
    image = Image(ref="t:latest", id="sha256:1", labels={}, size_bytes=1)
    layout = Layout(path=Path("/s/sif-1/layout"), config={}, size_bytes=1)
    conversion = Conversion(layout=layout, sif=Path("/s/sif-1/a.sif"), compression="gzip")
    command = convert_command("python3", "/convert.py", "/image", conversion)
    assert command == [
        *("python3", "/convert.py", "--layout", "/image/layout", "--sif", "/image/a.sif"),
        *("--facts", "/image/facts.json", "--tmp", "/image", "--compression", "gzip"),
    ]
    config = container_config(image, command, {Path("/s/a:b"): "/image"}, conversion.folder)
    assert config["HostConfig"]["NetworkMode"] == "none"
    assert "Privileged" not in config["HostConfig"]
    assert config["HostConfig"]["Mounts"] == [{"Type": "bind", "Source": "/s/a:b", "Target": "/image"}]
    options = ["seccomp=unconfined", "apparmor=unconfined", "label=disable"]
    assert config["HostConfig"]["SecurityOpt"] == options
    config = container_config(image, command, {}, conversion.folder, is_podman=True)
    assert config["HostConfig"]["SecurityOpt"] == [*options, "unmask=ALL"]


class Gone:
    """An engine that ends before a container does; the real one serves others."""

    api: Any

    def __init__(self, error: Exception) -> None:
        self.api, self.containers, self.error = self, self, error

    def info(self) -> dict[str, Any]:
        return {}

    version = info

    def create_container_from_config(self, config: Any, _: None) -> dict[str, str]:
        return {"Id": "1"}

    def get(self, _: str) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "error", [requests.ConnectionError("refused"), urllib3.exceptions.ProtocolError("Connection broken")]
)
def test_an_engine_that_ends_meanwhile(error: Exception) -> None:
    image = Image(ref="t:latest", id="sha256:1", labels={}, size_bytes=1)
    layout = Layout(path=Path("/s/sif-1/layout"), config={}, size_bytes=1)
    conversion = Conversion(layout=layout, sif=Path("/s/sif-1/a.sif"))
    with pytest.raises(EngineError, match=r"did not bring t to its end: .*still running"):
        _run_in_tools(cast(Any, Gone(error)), conversion, Path("/convert.py"), image, lambda _: None)


def test_what_a_user_has_in_all_containers_is_not_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = {"APPTAINERENV_A": "b", "SINGULARITY_BIND": "/x", "A": "c"}
    monkeypatch.setattr(os, "environ", {**os.environ, **users})
    (tmp_path / "layout" / "blobs" / "sha256").mkdir(parents=True)
    script.prepare(tmp_path, tmp_path / "layout")
    assert os.environ["A"] == "c"
    assert os.environ["APPTAINER_TMPDIR"] == str(tmp_path)
    assert not {"APPTAINERENV_A", "SINGULARITY_BIND"} & os.environ.keys()


LISTING = """drwxr-xr-x 0/0                 381 2026-11-21 14:48 squashfs-root
lrwxrwxrwx 0/0                   7 2026-11-21 14:48 squashfs-root/bin -> usr/bin
drwx------ 0/0                  70 2026-11-21 14:48 squashfs-root/root
-rw-r--r-- 0/0                 571 2026-11-21 14:48 squashfs-root/root/.bashrc
drwx------ 0/0                  70 2026-11-21 14:48 squashfs-root/etc/closed
-rw------- 0/0                  70 2026-11-21 14:48 squashfs-root/etc/closed/file
drwxr-x--- 1234/0               24 2026-11-21 14:48 squashfs-root/srv/conda
-rw-r--r-- 0/0                   0 2026-11-21 14:48 squashfs-root/srv/conda/python
-rw------- 0/0                   2 2026-11-21 14:48 squashfs-root/srv/with two  spaces
-rw-r--r-- 0/0                   0 2026-11-21 14:48 squashfs-root/srv/new
line
crw------- 0/0               1,  3 2026-11-21 14:48 squashfs-root/srv/null
drwxr-x--t 0/0                   3 2026-11-21 14:48 squashfs-root/srv/empty
drwxr-xr-x 0/0                  24 2026-11-21 14:48 squashfs-root/usr/bin
-rwxr-xr-x 0/0                  24 2026-11-21 14:48 squashfs-root/usr/bin/dash
lrwxrwxrwx 0/0                   4 2026-11-21 14:48 squashfs-root/usr/bin/sh -> dash
"""


def test_listings_of_squashfs_are_read() -> None:
    files = script.parse_files(LISTING)
    assert ("-", "rw-------", "/srv/with two  spaces") in files
    assert script.closed_files(files) == ["/srv/conda", "/srv/with two  spaces"]
    assert script.has_program(files, "/bin/sh")
    assert not script.has_program(files, "/bin/ls")
    assert not script.has_program([("l", "rwxrwxrwx", "/bin/sh -> sh")], "/bin/sh")


def test_no_room_is_told_before(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=rf"{tmp_path} has .* GB free.* 1000000000.0 GB.*SLIPWAY_STATE"):
        check_space(tmp_path, 10**18, "converting a:latest")
    check_space(tmp_path / "new", 1, "converting a:latest")


def test_a_workspace_is_somebodys_until_its_process_ends(tmp_path: Path) -> None:
    with workspace(tmp_path) as folder:
        assert abandoned(tmp_path) == []
        (folder / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []
    code = (
        "import os, signal, pathlib; from slipway.workspace import workspace\n"
        f"with workspace(pathlib.Path({str(tmp_path)!r})): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert len(abandoned(tmp_path)) == 1


def kept(project: Project, image_id: str, compression: str = "zstd", content: bytes = b"SIF") -> Sif:
    path = project.state / "sif" / f"a-{image_id[7:23]}-{compression}.sif"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    sif = Sif(
        path=path,
        name="a",
        image_id=image_id,
        sha256=sha256(path),
        size_bytes=len(content),
        compression=compression,
    )
    _keep(sif)
    return sif


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(root=ROOT, state=tmp_path / "state", results=tmp_path / "results")


IMAGE = Image(ref="a:latest", id="sha256:" + "1" * 64, labels={}, size_bytes=1)


def test_an_unchanged_sif_is_not_hashed_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    sif = kept(project, IMAGE.id)
    hashed = []
    monkeypatch.setattr(
        "slipway.sif.kept.sha256", lambda path: hashed.append(path) or digest(path.read_bytes())
    )
    assert find_sif(project, IMAGE) == sif
    assert hashed == []
    os.utime(sif.path, ns=(1, 1))
    assert find_sif(project, IMAGE) == sif
    assert len(hashed) == 1
    # From then on its new time is known.
    assert find_sif(project, IMAGE) == sif
    assert len(hashed) == 1


def test_a_wrecked_cut_or_foreign_sif_is_none(project: Project) -> None:
    sif = kept(project, IMAGE.id)
    record = sif.path.with_suffix(".json")
    text = record.read_text()
    sif.path.write_bytes(b"SIG")
    assert find_sif(project, IMAGE) is None
    sif.path.write_bytes(b"SI")
    assert find_sif(project, IMAGE) is None
    sif.path.write_bytes(b"SIF")
    assert find_sif(project, IMAGE) == sif
    for wrong in ("", "[]", "{}", "null", text.replace("zstd", "gzip"), text.replace("1111", "2222"), "\xff"):
        record.write_text(wrong, encoding="latin-1")
        assert find_sif(project, IMAGE) is None
    record.write_text(text)
    assert find_sif(project, IMAGE, "gzip") is None
    sif.path.unlink()
    assert find_sif(project, IMAGE) is None


def test_the_newest_of_each_compression_stays(project: Project) -> None:
    old = kept(project, "sha256:" + "0" * 64)
    other = kept(project, "sha256:" + "0" * 64, "gzip")
    before = project.state / "sif" / "a-3333333333333333.sif"
    before.write_bytes(b"SIF")
    before.with_suffix(".json").write_text('{"name": "a"}')
    (project.state / "sif" / "broken.json").write_text("[")
    new = kept(project, IMAGE.id)
    _forget_older(new)
    assert {path.name for path in new.path.parent.iterdir()} == {
        *(one.path.name for one in (new, other)),
        *(one.path.with_suffix(".json").name for one in (new, other)),
        "broken.json",
    }
    assert not old.path.exists()


def test_the_documentation_has_each_remedy() -> None:
    rows = [line for line in (ROOT / "docs" / "images.md").read_text().splitlines() if line.count("|") == 3]
    said = [line.split("|")[2].strip() for line in rows]
    for remedy in _REMEDIES.values():
        # Pages write slipway TASK, and so does a message where that was typed.
        assert said.count(remedy.replace("`invoke ", "`slipway ")) == 1, remedy
    # And what the documentation calls Apptainer's words is what each remedy is found by.
    named = {word for line in rows for word in line.split("|")[1].strip(" `").split("`, `")}
    for pattern in _REMEDIES:
        assert [word for word in named if re.search(pattern, word, re.I)], pattern
