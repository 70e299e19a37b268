"""What the cluster is given to build an image, and what is said where it cannot."""

import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from slipway.errors import (
    ConfigError,
    ConversionError,
    ImageError,
    RemoteError,
    RemoteSpaceError,
    SlipwayError,
)
from slipway.host.scratch import Scratch
from slipway.push.build_script import explain_failure, find_sent_bases, parse_facts, render_build
from slipway.push.pull_script import pull_command
from slipway.push.remote_build import _RECORDS, RemoteBuild, _pack
from slipway.scheduler.slurm.scheduler import Slurm
from slipway.sif.check import compare
from slipway.sif.definition.definition import Definition, Placed
from slipway.site_file import load_site

ROOT = Path(__file__).parents[2]
SCRATCH = Scratch(root=PurePosixPath("/s/slipway"))


def definition(folder: Path, platform: str = "linux/amd64") -> Definition:
    (folder / "Dockerfile").write_text("FROM a\n")
    (folder / "base.tar").write_text("base\n")
    return Definition(
        name="mine",
        source=folder / "Dockerfile",
        text="Bootstrap: scratch\n",
        inputs="0123" * 16,
        platform=platform,
        files=[
            Placed(place="copy/1/it's a file", content=b"x"),
            Placed(place="base/0", path=folder / "base.tar"),
        ],
        config={"Env": ["A=b"], "Labels": {"slipway.inputs": "0123" * 16}},
        arguments={"LEVEL": "3"},
    )


def script(folder: Path, **changes: str) -> str:
    site = load_site([ROOT / "cluster"], "example")
    template = (ROOT / "cluster" / "build.sh").read_text()
    one = definition(folder, changes.get("platform", "linux/amd64"))
    bases = find_sent_bases(one, SCRATCH, folder / "memory")
    return render_build(site, one, bases, SCRATCH, changes.get("compression", "zstd"), template)


def test_the_script_that_builds(tmp_path: Path) -> None:
    text = script(tmp_path)
    assert "container=apptainer\ncache=/s/slipway/cache\ncompression=zstd\nmachine=x86_64\n" in text
    assert "bases=(base/0=/s/slipway/cache/base-f34848ca92665c34)\n" in text
    assert "module load apptainer/1.3 || exit" in text
    assert "machine=aarch64\n" in script(tmp_path, platform="linux/arm64")
    file = tmp_path / "build.sh"
    file.write_text(text)
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([str(shellcheck), "--shell=bash", str(file)], check=True)
    with pytest.raises(ConfigError, match=r"cluster/build\.sh has no line `# @settings@`"):
        render_build(
            load_site([ROOT / "cluster"], "box"), definition(tmp_path), [], SCRATCH, "zstd", "true\n"
        )


def test_where_it_builds() -> None:
    folder = PurePosixPath("/s/images/.a.part")
    assert pull_command(folder, Slurm(), None, "build")[5:] == ["bash", "-l", f"{folder}/build.sh"]


def test_what_is_sent_says_nothing_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    one = definition(tmp_path)
    bases = find_sent_bases(one, SCRATCH, tmp_path / "memory")
    build = RemoteBuild(definition=one, bases=bases, script="", client="me")
    archive = _pack(build, tmp_path / "work")
    listed = subprocess.run(["tar", "-tvf", archive], capture_output=True, text=True, check=True).stdout
    assert [line.split(maxsplit=5)[5] for line in listed.splitlines()] == [
        "arguments",
        "copy/",
        "copy/1/",
        "copy/1/it's a file",
        "image.def",
    ]
    assert {line.split()[1] for line in listed.splitlines()} == {"0/0"}


APPTAINER = "INFO:    Starting build...\n[Dockerfile:3] RUN make\nmake: *** no rule\nFATAL:   exit status 2"


@pytest.mark.parametrize(
    ("code", "said", "kind", "words"),
    [
        (127, "apptainer is not to be found here", RemoteError, "is not to be found here"),
        (66, "n1 lets no user make namespaces", RemoteError, "only its administrators can change that"),
        (65, "the image is for x86_64", ImageError, "set PLATFORM"),
        (255, "write: disk quota exceeded", RemoteSpaceError, "there is not enough room"),
        (255, "cp: No space left on device", RemoteSpaceError, "there is not enough room"),
        (255, "dial tcp: lookup r: no such host", ConversionError, "leave out --as-job"),
        (255, "E: seteuid 100 failed", ConversionError, "has one user id there"),
        (1, APPTAINER, ConversionError, "Dockerfile:3: RUN make failed\n"),
        (1, "", ConversionError, "it said nothing"),
    ],
)
def test_why_it_could_not(code: int, said: str, kind: type[SlipwayError], words: str, tmp_path: Path) -> None:
    error = explain_failure("me@hpc", code, said.splitlines(), definition(tmp_path))
    assert type(error) is kind
    assert words in str(error)
    assert "INFO:" not in str(error)
    assert "me@hpc could not build mine, and nothing of it was left there" in str(error)


def test_what_is_found_in_an_image_there_is_compared(tmp_path: Path) -> None:
    made = definition(tmp_path)
    labels = b'{"data": {"attributes": {"labels": {"slipway.inputs": "%s"}}}}' % made.inputs.encode()
    assert compare(made.config, parse_facts(labels, b"A=b\0X=\xff\0")).mismatches == ()
    wrong = compare(made.config, parse_facts(labels, b"A=c\0")).mismatches
    assert wrong == ("ENV: A is 'b' in the image and 'c' in the .sif",)
    assert (
        compare(made.config, parse_facts(b"no JSON", b"")).mismatches[0]
        == "`apptainer inspect` cannot read it"
    )
    assert "was not looked at" in compare(made.config, parse_facts(labels, None)).notes[-1]


def test_the_image_of_the_same_inputs_is_found_among_others(tmp_path: Path) -> None:
    for name, inputs in (("mine", "1"), ("mine", "2"), ("mine-too", "2"), ("other", "2")):
        digest = f"{len(list(tmp_path.iterdir())):016x}"
        (tmp_path / f"{name}-{digest}.json").write_text(f'{{"image_id": "definition:{inputs}"}}')
    words = ["sh", "-c", _RECORDS, "slipway", str(tmp_path), "mine", "definition:2"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said == 'mine-0000000000000001.json\0{"image_id": "definition:2"}\0'
    words[-1] = "definition:3"
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == ""
