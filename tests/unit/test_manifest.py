import hashlib
import os
import random
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from slipway.dataset.manifest import File, Manifest, format_manifest, manifest_path, parents, parse_manifest
from slipway.errors import ParseError

ODD = [
    "#x",
    "a b",
    "a\nb",
    "\\",
    "\\n",
    "n\r",
    "\rn",
    "\r\n",
    "\t",
    "-c",
    "*",
    " x ",
    "é",
    "\udcff",
    "' \"",
    "->",
]


def a_file(content: bytes = b"", *, executable: bool = False) -> File:
    digest = hashlib.sha256(content).hexdigest()
    return File(sha256=digest, size_bytes=len(content), mtime_s=-5, executable=executable)


def a_name(chance: random.Random) -> str:
    letters = [*"\\\\\n\r\t\x01 #*-'\"$az09é…", *map(chr, range(0xDC80, 0xDCFF))]
    while True:
        words = [
            "".join(chance.choices(letters, k=chance.randint(1, 9))) for _ in range(chance.randint(1, 3))
        ]
        name = os.fsencode("/".join(words)).decode(errors="surrogateescape")
        if not {".", ".."} & set(name.split("/")):
            return name


def test_format() -> None:
    manifest = Manifest(
        files={"b": a_file(b"b"), "a\nb": a_file(executable=True)}, links={"l": "x\ty"}, folders=["e"]
    )
    assert format_manifest(manifest, "room").splitlines() == [
        "# Slipway manifest 1",
        "# To check it: cd room && sha256sum -c ../.room.sha256",
        "# folder\te",
        "# link\tl\tx\\ty",
        "# file\t0\t-5\tx",
        "\\e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 *a\\nb",
        "# file\t1\t-5\t-",
        "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d *b",
    ]
    assert manifest_path(PurePosixPath("/s/data/room")) == PurePosixPath("/s/data/.room.sha256")


@pytest.mark.parametrize("seed", range(20))
def test_any_names_come_back(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    names = [a_name(chance) for _ in range(200)] + ODD
    manifest = Manifest(
        files={
            name: a_file(name.encode(errors="surrogateescape"), executable=len(name) % 2 == 0)
            for name in names
        },
        links={a_name(chance): a_name(chance) for _ in range(20)},
        folders=frozenset(a_name(chance) for _ in range(20)),
    )
    text = format_manifest(manifest, "x")
    assert text.encode(errors="surrogateescape").decode(errors="surrogateescape") == text
    assert parse_manifest(text) == manifest


def test_sha256sum_writes_the_same_and_checks_it(tmp_path: Path) -> None:
    folder = tmp_path / "room"
    folder.mkdir()
    # coreutils before 9 has no escape for \r, and is not asked for names that end with it.
    names = [name for name in ODD if not name.endswith("\r")]
    for name in names:
        (folder / name).write_bytes(os.fsencode(name))
    files = {name: a_file(os.fsencode(name)) for name in names}
    text = format_manifest(Manifest(files=files, links={"a": "b"}, folders=["c"]), "room")
    (tmp_path / ".room.sha256").write_bytes(text.encode(errors="surrogateescape"))
    argv = ["sha256sum", "--strict", "-c", "../.room.sha256"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b": OK\n") == len(names)
    (folder / "a b").write_text("else")
    assert subprocess.run(argv, cwd=folder, capture_output=True, check=False).returncode == 1


def test_broken_manifests_are_refused() -> None:
    text = format_manifest(Manifest(files={"a": a_file(), "b": a_file(b"b")}, links={"l": "a"}), "x")
    for broken in [
        "",
        text[:-1],
        text[: text.index("\n", 200)],
        text.replace(" *a", "  a"),
        text.replace("# file\t0", "# file\tmany"),
        text.replace("# link\tl", "# link\tl\tm"),
        text.replace("# link\tl", "# link\tl\\q"),
        text.replace("manifest 1", "manifest 2"),
        text + "more\n",
        text + "# file\t0\t0\t-\n",
    ]:
        with pytest.raises(ParseError):
            parse_manifest(broken)


def test_folders() -> None:
    manifest = Manifest(files={"a/b/c": a_file()}, links={"d/l": "x"}, folders=["e/f"])
    assert manifest.all_folders() == {"a", "a/b", "d", "e", "e/f"}
    assert parents(["x", "y/z"]) == {"y"}
    assert manifest.without(["a/b/c", "d/l"]) == Manifest(folders=["e/f"])
