import json
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from slipway.errors import (
    ConfigError,
    RegistryError,
    RegistryLoginError,
    RegistryTrustError,
    UnknownImageError,
    UsageError,
)
from slipway.host.scratch import Scratch
from slipway.image.engine import INPUTS, Image
from slipway.push.fromregistry import _explain_silence
from slipway.push.pull_script import Pull, pull_command, render_pull
from slipway.registry.credentials import Credentials, docker_config, find_credentials
from slipway.registry.publish import choose_reference
from slipway.registry.reference import parse_reference
from slipway.registry.refusal import explain_words
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.scheduler import Slurm
from slipway.site_file import load_site
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
DIGEST = f"sha256:{'0123456789abcdef' * 4}"

REFERENCES = {
    "ghcr.io/me/slipway-cpu:v1": ("docker", "ghcr.io", "me/slipway-cpu", "v1", None),
    "docker://ghcr.io/me/a": ("docker", "ghcr.io", "me/a", "latest", None),
    f"nvcr.io/org/team/a@{DIGEST}": ("docker", "nvcr.io", "org/team/a", None, DIGEST),
    f"127.0.0.1:5000/a:1@{DIGEST}": ("docker", "127.0.0.1:5000", "a", "1", DIGEST),
    "oras://localhost/a/b__c:1.0.sif": ("oras", "localhost", "a/b__c", "1.0.sif", None),
    "[::1]:5000/a:1": ("docker", "[::1]:5000", "a", "1", None),
    "me/a": ("docker", "docker.io", "me/a", "latest", None),
    "debian:trixie": ("docker", "docker.io", "library/debian", "trixie", None),
}


@pytest.mark.parametrize(("text", "parts"), REFERENCES.items())
def test_references(text: str, parts: tuple[str, ...]) -> None:
    one = parse_reference(text)
    assert (one.kind, one.host, one.repository, one.tag, one.digest) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ghcr.io/",
        "ghcr.io/Me/a",
        "ghcr.io/me/a:",
        "ghcr.io/me/a:b c",
        "ghcr.io/me/a@sha256:12",
        "ghcr.io/me/a@",
        "ghcr.io//a",
        "ghcr.io/me/../a",
        "https://ghcr.io/me/a",
        "ghcr.io/me/a:1:2",
        "-x.io/$(id)",
        "ghcr..io/me/a",
        "-x.io/me/a",
        f"{'x' * 64}.io/me/a",
        "ghcr.io:123456/me/a",
        "ghcr.io/me/a\n",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


def test_apptainer_takes_no_tag_beside_a_digest() -> None:
    one = parse_reference(f"oras://ghcr.io/me/a:v1@{DIGEST}")
    assert one.uri == f"oras://ghcr.io/me/a@{DIGEST}"
    assert parse_reference("ghcr.io/me/a:v1").at(DIGEST).uri == f"docker://ghcr.io/me/a@{DIGEST}"


def image(**labels: str) -> Image:
    return Image(ref="slipway-cpu:latest", id=f"sha256:{'f' * 64}", labels=labels, size_bytes=1)


def test_the_tag_says_what_the_image_was_built_from() -> None:
    inputs = {INPUTS: "0123456789abcdef0123"}
    assert str(choose_reference("nvcr.io/org/team/", image(**inputs), None)) == (
        "nvcr.io/org/team/slipway-cpu:0123456789abcdef"
    )
    assert str(choose_reference("docker.io/me", image(), None)) == f"docker.io/me/slipway-cpu:{'f' * 16}"
    assert choose_reference("ghcr.io/me", image(**inputs), "v1").tag == "v1"
    for wrong in ("", "/", "ghcr.io/Me", "ghcr.io/me@sha256"):
        with pytest.raises(UsageError):
            choose_reference(wrong, image(), None)


# Printed by Docker Engine 20.10 and Apptainer 1.4.5 against Distribution 2.8.
SAID = {
    "no basic auth credentials": RegistryLoginError,
    "unauthorized: authentication required": RegistryLoginError,
    "denied: requested access to the resource is denied": RegistryLoginError,
    "GET https://h/v2/a/manifests/1: UNAUTHORIZED: authentication required": RegistryLoginError,
    "failed to get checksum: reading manifest 1 in h/a: manifest unknown": UnknownImageError,
    "GET https://h/v2/a/manifests/1: MANIFEST_UNKNOWN: manifest unknown; map[Tag:1]": UnknownImageError,
    'Get "https://h/v2/": http: server gave HTTP response to HTTPS client': RegistryTrustError,
    'Get "https://h/v2/": x509: certificate signed by unknown authority': RegistryTrustError,
    'Get "http://h/v2/": dial tcp 127.0.0.1:9: connect: connection refused': RegistryError,
    'Get "https://h/v2/": dial tcp: lookup h on 10.0.0.1:53: no such host': RegistryError,
    "received unexpected HTTP status: 503 Service Unavailable": RegistryError,
    "toomanyrequests: You have reached your unauthenticated pull rate limit.": RegistryError,
    "srun: error: Unable to allocate resources: Invalid account or account/partition": None,
    "FATAL: While performing build: while running mksquashfs: exit status 1": None,
}


@pytest.mark.parametrize(("words", "kind"), SAID.items())
def test_what_others_say_of_a_registry(
    words: str, kind: type[RegistryError] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    error = explain_words(words, parse_reference("h.example/a:1"))
    assert (type(error) if error else None) is kind


def test_credentials_are_those_of_docker_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert find_credentials("nvcr.io") is None
    ngc = Credentials(user="$oauthtoken", secret="a:b c")  # noqa: S106
    (tmp_path / "config.json").write_text(docker_config("nvcr.io", ngc))
    assert find_credentials("nvcr.io") == ngc
    assert find_credentials("ghcr.io") is None
    assert "a:b c" not in repr(ngc)
    hub = Credentials(user="me", secret="s")  # noqa: S106
    (tmp_path / "config.json").write_text(docker_config("docker.io", hub))
    assert find_credentials("docker.io") == hub
    assert docker_config("nvcr.io", None) == ""
    token = Credentials(user="", secret="t", is_identity_token=True)  # noqa: S106
    (tmp_path / "config.json").write_text(docker_config("a.azurecr.io", token))
    assert find_credentials("a.azurecr.io") == token


def test_a_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-own"
    helper.write_text('#!/bin/sh\ncat >/dev/null\necho \'{"Username": "me", "Secret": "from a helper"}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"credHelpers": {"ghcr.io": "own"}}')
    assert find_credentials("ghcr.io") == Credentials(user="me", secret="from a helper")  # noqa: S106
    helper.write_text("#!/bin/sh\necho 'the keychain is locked'\nexit 1\n")
    with pytest.raises(RegistryLoginError, match="docker login ghcr"):
        find_credentials("ghcr.io")


def pull(**changes: object) -> Pull:
    values = {"name": "a", "reference": parse_reference(f"h.example/a@{DIGEST}"), "manifest": None}
    return Pull(**{**values, "credentials": None, "https": True, **changes})  # type: ignore[arg-type]


def test_a_file_there_is_of_one_content() -> None:
    """Another compression is another file: a job may still use the first one."""
    zstd, gzip = pull().file_name, pull(compression="gzip").file_name
    assert zstd == "a-0123456789abcdef.sif"
    assert re.fullmatch(r"a-[0-9a-f]{16}\.sif", gzip)
    assert gzip != zstd
    sif = parse_reference(f"oras://h.example/a@{DIGEST}")
    assert pull(reference=sif, compression="gzip").file_name == zstd


def test_what_to_do_where_only_this_machine_reaches_the_registry() -> None:
    said = "dial tcp: lookup h.example: no such host"
    error = explain_words(said, parse_reference("h.example/a:1"), silence=_explain_silence)
    assert type(error) is RegistryError
    assert "without --from-registry" in str(error)


def script(tmp_path: Path, **changes: object) -> str:
    one = pull(**changes)
    site = load_site([ROOT / "cluster"], "example")
    template = (ROOT / "cluster" / "pull.sh").read_text()
    return render_pull(site, one, Scratch(root=PurePosixPath("/s/slipway")), template)


def test_the_script_that_pulls(tmp_path: Path) -> None:
    text = script(tmp_path)
    assert (
        f"source=docker://h.example/a@{DIGEST}\ncache=/s/slipway/cache\ncompression=zstd\noptions=()" in text
    )
    assert "module load apptainer/1.3 || exit" in text
    assert "compression=gzip\n" in script(tmp_path, compression="gzip")
    assert "options=(--no-https)" in script(tmp_path, https=False)
    file = tmp_path / "pull.sh"
    file.write_text(text)
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([str(shellcheck), "--shell=bash", str(file)], check=True)


def test_the_script_needs_its_marks() -> None:
    one = pull()
    with pytest.raises(ConfigError, match="@settings@"):
        render_pull(load_site([ROOT / "cluster"], "box"), one, Scratch(root=PurePosixPath("/s")), "true\n")


def test_where_a_pull_runs() -> None:
    folder = PurePosixPath("/s/images/.a.part")
    here = pull_command(folder, Slurm(), None)
    assert here[:2] == ["sh", "-c"]
    assert here[3:] == ["slipway", str(folder), "bash", "-l", f"{folder}/pull.sh"]
    job = pull_command(
        folder, Slurm(), SlurmResources(time="10", cpus=2, mem="4G", gpus="1", partition="p", account="a")
    )
    assert job[5:9] == ["bash", "-lc", 'exec "$@"', "slipway"]
    assert job[9:] == [
        "srun",
        "--job-name=slipway-pull",
        "--nodes=1",
        "--ntasks=1",
        "--time=10",
        "--cpus-per-task=2",
        "--mem=4G",
        "--partition=p",
        "--account=a",
        "bash",
        "-l",
        f"{folder}/pull.sh",
    ]


def test_credentials_lie_in_a_private_file_while_the_pull_lasts(tmp_path: Path) -> None:
    config = docker_config("h.example", Credentials(user="me", secret="s"))  # noqa: S106
    look = (
        'stat -c %a "$0/login" "$0/login/docker-config.json"; cat "$0/login/docker-config.json"; cat; exit $1'
    )
    for code in ("0", "3"):
        folder = tmp_path / code
        folder.mkdir()
        argv = [*pull_command(PurePosixPath(folder), Slurm(), None)[:5], "sh", "-c", look, str(folder), code]
        done = subprocess.run(
            argv, input=config, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert done.returncode == int(code), done.stderr
        assert done.stdout.rstrip("\n") == f"700\n600\n{config}"
        # What failed leaves nothing; what did not is fetched from its folder.
        assert folder.exists() == (code == "0")
        assert not (folder / "login").exists()
    json.loads(config)
