"""Images published to a real registry, and pulled from there by a real box."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import docker.errors
import pytest
import requests
import yaml

from slipway.box.spec import Box
from slipway.errors import (
    RegistryError,
    RegistryLoginError,
    RegistryTrustError,
    RemoteError,
    SpaceError,
    UnknownImageError,
)
from slipway.image.engine import engine
from slipway.job.poll import poll
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.job.submit import submit
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.upload import PushedSif
from slipway.registry.publish import Published
from slipway.report.values import run_values
from slipway.sif.file import read_sif
from slipway.steps.box import box_down, box_up
from slipway.steps.data import find_weights, stage_weights
from slipway.steps.image import build as build_step
from slipway.steps.image import convert as convert_step
from slipway.steps.image import publish as publish_step
from slipway.steps.image import push_from_registry
from slipway.steps.session import Choice, Session
from tests.integration.inside import run_inside
from tests.integration.registry_container import USER, RegistryContainer, packed, start_registry
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
# Each checkout of this machine has names of its own: tests of another may run at the same time.
OWN = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
IMAGE = f"slipway-test-published-{OWN}"
# No more than a job needs, so that it is converted in seconds; and layers of a known size.
DOCKERFILE = """
FROM {base} AS debian
RUN mkdir -p /r/bin /r/etc /r/tmp && cp /etc/passwd /etc/group /r/etc \
 && cd /r/bin && cp /usr/bin/sh /usr/bin/cat /usr/bin/rm . \
 && ldd /usr/bin/sh /usr/bin/cat | grep -o '/[^ :]*lib[^ :]* ' | sort -u | xargs cp -L --parents -t /r
FROM scratch
COPY --from=debian /r /
COPY small /small
COPY large /large
LABEL slipway.inputs=0123456789abcdef0123
ENV PATH=/bin
"""
TENSORS = ROOT / "tests" / "unit" / "data" / "tensors.pth"
SMALL_BYTES, LARGE_BYTES = 2_000_000, 20_000_000


class Listener(NullProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, text: str) -> None:
        self.said.append(text)

    def line(self, text: str) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.said.append(text)


@dataclass
class PushBox:
    """A box, a registry, an image, and a user who is logged in to both."""

    session: Session
    choice: Choice
    container: RegistryContainer
    listener: Listener = field(default_factory=Listener)

    def publish(self, tag: str | None = None, *, sif: bool = False) -> list[Published]:
        return publish_step(self.session, self.choice.profile, f"{self.container.here}/me", tag, sif=sif)

    def pull(
        self, rest: str, *, kind: str = "", as_job: bool = False, compression: str | None = None
    ) -> tuple[PushedSif, bool]:
        name = f"{kind}{self.container.there}/me/{IMAGE}{rest}"
        return push_from_registry(self.session, self.choice, name, as_job=as_job, compression=compression)

    def as_root(self, *argv: str) -> str:
        """Run a command in the box as its owner."""
        container = engine().containers.get(Box(state=self.session.project.state).name)
        return run_inside(container, *argv).output.decode(errors="replace")

    def run(self, *program: str) -> tuple[Run, str]:
        """Run a job with the image that the box has; returns its record and its log."""
        profile = self.choice.profile.model_copy(update={"program": program})
        request = Request(profile=profile, site=self.choice.site, args=(), resources=profile.resources)
        with self.session.open_scratch(self.choice.site) as (host, scratch):
            run = submit(self.session.project, request, host, scratch, NullProgress())
            runs = [run]

            def is_over() -> bool:
                runs[:] = poll(host, runs)
                return runs[0].state.is_over

            wait_until(is_over, lambda: f"{runs}\n{self.as_root('squeue')}")
            log = host.check(["cat", f"{run.run_dir}/attempt-1/log"]).stdout
        return runs[0], log


@pytest.fixture(scope="module")
def push_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushBox]:
    folder = tmp_path_factory.mktemp("registry")
    project = Project(root=ROOT, state=folder / "state", results=folder / "results")
    listener = Listener()
    session = Session(project=project, progress=listener)
    (folder / "code").mkdir()
    (folder / "code" / "file").write_text("code\n")
    choice = session.choose(
        "cpu", "box", [f"IMAGE={IMAGE}", f"CODE_DIR={folder / 'code'}", "CPUS=1", "MEM=200M", "TIME=10"]
    )
    with pytest.MonkeyPatch.context() as patch, start_registry(folder) as container:
        patch.setenv("REQUESTS_CA_BUNDLE", str(container.authority))
        patch.setenv("DOCKER_CONFIG", str(container.log_in(folder / "docker")))
        build_image(choice.profile.base_image)
        try:
            box_up(session)
            yield PushBox(session, choice, container, listener)
        finally:
            box_down(session, purge=False)
            remove_images()


@pytest.fixture(scope="module")
def published(push_box: PushBox) -> list[Published]:
    """The image, and its .sif, in the registry."""
    return push_box.publish(sif=True)


def build_image(base: str, small: bytes | None = None) -> None:
    files = {
        "Dockerfile": DOCKERFILE.format(base=base).encode(),
        "small": small or os.urandom(SMALL_BYTES),
        "large": os.urandom(LARGE_BYTES),
    }
    engine().images.build(fileobj=packed(files), custom_context=True, tag=IMAGE, rm=True)  # type: ignore[call-overload]


def remove_images(name: str = IMAGE) -> None:
    client = engine()
    for image in client.images.list():
        # Those that were pulled are still known by digest when their tags are gone.
        for ref in [*image.tags, *image.attrs.get("RepoDigests", [])]:
            repository = ref.partition("@")[0] if "@" in ref else ref.rpartition(":")[0]
            if repository.rpartition("/")[2] in (name, f"{name}-builder"):
                with suppress(docker.errors.ImageNotFound):
                    client.images.remove(ref)


@contextmanager
def logged_in(container: RegistryContainer, folder: Path, password: str | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        folder.mkdir(exist_ok=True)
        patch.setenv("DOCKER_CONFIG", str(container.log_in(folder, password) if password else folder))
        yield


@pytest.mark.long
def test_a_registry_that_goes_down_in_the_middle(
    push_box: PushBox, capsys: pytest.CaptureFixture[str]
) -> None:
    container, proxy = push_box.container, push_box.container.proxy
    proxy.count()
    proxy.when(SMALL_BYTES + LARGE_BYTES // 2, container.kill)
    began = time.monotonic()
    with proxy.slow(10_000_000), pytest.raises(RegistryError, match="went down in the middle") as caught:
        push_box.publish("cut")
    gave_up_s, cut_bytes = time.monotonic() - began, proxy.up_bytes
    assert type(caught.value) is RegistryError
    assert caught.value.exit_code == 86
    container.start()
    proxy.count()
    again = push_box.publish("cut")[0]
    with capsys.disabled():
        print(
            f"\n{cut_bytes / 1e6:.1f} MB went up when the registry was killed; publish ended after "
            f"{gave_up_s:.0f} s; the next one sent {again.sent_layers} of {again.layers} layers, "
            f"{proxy.up_bytes / 1e6:.1f} MB"
        )
    assert again.sent_layers < again.layers == 3
    assert proxy.up_bytes < LARGE_BYTES + SMALL_BYTES
    proxy.count()
    assert push_box.publish("cut")[0].sent_layers == 0
    assert proxy.up_bytes < 100_000


@pytest.mark.long
def test_a_sif_that_does_not_get_there(push_box: PushBox) -> None:
    container, proxy = push_box.container, push_box.container.proxy
    image = push_box.publish("halves")[0]
    proxy.count()
    proxy.when(LARGE_BYTES // 2, container.kill)
    with proxy.slow(20_000_000), pytest.raises(RegistryError, match="went down in the middle") as caught:
        push_box.publish("halves", sif=True)
    assert caught.value.exit_code == 86
    assert f"The image itself is published, as {image.pinned}; its .sif is not" in str(caught.value)
    container.start()
    # There is no half of it there.
    with pytest.raises(UnknownImageError):
        push_box.pull(":halves.sif", kind="oras://")
    assert push_box.publish("halves", sif=True)[1].sent_layers == 1


def test_nothing_is_pushed_where_there_can_be_no_sif(
    push_box: PushBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No disk has so much room.
    for name in ("SPACE_FACTOR", "LAYERS_FACTOR"):
        monkeypatch.setattr(f"slipway.sif.store.{name}", 1e9)
    monkeypatch.setattr("slipway.sif.store.find_sif", lambda *_: None)
    with pytest.raises(SpaceError):
        push_box.publish("nothing", sif=True)
    with pytest.raises(UnknownImageError):
        push_box.pull(":nothing")


def test_what_is_published_has_the_digest_that_was_printed(
    push_box: PushBox, published: list[Published]
) -> None:
    image, sif = published
    # The tag says what the image was built from.
    assert (image.reference.tag, sif.reference.tag) == ("0123456789abcdef", "0123456789abcdef.sif")
    for one in (image, sif):
        assert manifest_digest(push_box.container, str(one.reference.tag)) == one.digest
    image, sif = push_box.publish(sif=True)
    assert (image.sent_layers, sif.sent_layers) == (0, 0)


def manifest_digest(container: RegistryContainer, tag: str, repository: str = f"me/{IMAGE}") -> str:
    return f"sha256:{hashlib.sha256(read_manifest(container, tag, repository)).hexdigest()}"


def read_manifest(container: RegistryContainer, tag: str, repository: str = f"me/{IMAGE}") -> bytes:
    accepted = (
        "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
    )
    reply = requests.get(
        f"https://{container.there}/v2/{repository}/manifests/{tag}",
        auth=(USER, container.password),
        headers={"Accept": accepted},
        verify=str(container.authority),
        timeout=PATIENCE_S,
    )
    reply.raise_for_status()
    digest = f"sha256:{hashlib.sha256(reply.content).hexdigest()}"
    assert reply.headers["Docker-Content-Digest"] == digest
    return reply.content


@pytest.mark.usefixtures("published")
def test_an_authority_that_the_box_does_not_know(push_box: PushBox) -> None:
    with pytest.raises(RegistryTrustError, match="certificate") as caught:
        push_box.pull(":0123456789abcdef")
    assert caught.value.exit_code == 89
    check_nothing_is_left(push_box)


def check_nothing_is_left(push_box: PushBox) -> None:
    left = push_box.as_root("find", "/scratch/researcher/slipway/images", "-name", ".*.part")
    assert left == ""
    assert push_box.as_root("find", "/scratch", "/home", "/tmp", "-name", "docker-config.json") == ""


def test_weights_are_staged_once(push_box: PushBox) -> None:
    weights, _ = find_weights(push_box.session, "tiny.pth", file=TENSORS)
    sent = stage_weights(push_box.session, push_box.choice.site, weights)
    assert sent is not None
    assert sent.total_bytes == TENSORS.stat().st_size
    assert stage_weights(push_box.session, push_box.choice.site, weights) is None
    assert push_box.as_root("ls", "-A", "/scratch/researcher/slipway/weights").split() == ["tiny.pth"]


@pytest.mark.long
@pytest.mark.usefixtures("published")
def test_the_box_pulls_by_digest_and_a_job_runs_it(push_box: PushBox) -> None:
    container = push_box.container
    trust(push_box)
    # A pull that fails at the large one of three layers, which is damaged on its way: near its end, so that
    # the small ones have come before that is noticed.
    layer = container.sh("find /var/lib/docker-registry -name data -size +10M").split()
    container.sh(
        f"for file in {' '.join(layer)}; do cp $file $file.good; printf damage >$file.bad; "
        "dd if=$file.bad of=$file bs=1 seek=$(($(stat -c %s $file) - 100000)) conv=notrunc status=none; done"
    )
    # Again and again: on a busy machine the small ones may not have come the first time.
    wait_until(lambda: fails_with_the_small_ones(push_box), "the small layers", pause_s=0)
    container.sh(f"for file in {' '.join(layer)}; do mv $file.good $file; done")
    before, small = container.sent_bytes(), cached(push_box)
    with watched(push_box) as seen:
        there, pulled = push_box.pull(":0123456789abcdef")
    assert pulled
    # Apptainer asks for those that it has, too, and hangs up when it sees that it has them.
    assert LARGE_BYTES < container.sent_bytes() - before < 1.5 * LARGE_BYTES
    assert small <= cached(push_box)
    digest = manifest_digest(push_box.container, "0123456789abcdef")
    assert there.path.name == f"{IMAGE}-{digest[7:23]}.sif"
    assert there.image_id == engine().images.get(IMAGE).id
    assert push_box.as_root("sha256sum", str(there.path)).split()[0] == there.sha256
    assert push_box.as_root("stat", "-c", "%s", str(there.path)).strip() == str(there.size_bytes)
    assert others_may(push_box, there) == "r-x"
    check_nothing_is_left(push_box)
    stage_weights(
        push_box.session, push_box.choice.site, find_weights(push_box.session, "tiny.pth", file=TENSORS)[0]
    )
    run, log = push_box.run(
        "sh", "-c", "cat file; cat /weights/tiny.pth >/out/copy; (: >/weights/new) || echo no"
    )
    assert (run.status.exit_code, log.splitlines()[0], log.splitlines()[-1]) == (0, "code", "no")
    copy = push_box.as_root("sha256sum", f"{run.run_dir}/attempt-1/out/copy").split()[0]
    assert copy == hashlib.sha256(TENSORS.read_bytes()).hexdigest(), log
    assert (run.sif, run.sif_sha256) == (str(there.path), there.sha256)
    check_nobody_saw_the_password(push_box, seen, run)
    assert push_box.pull(f"@{digest}") == (there, False)
    check_another_compression_is_another_file(push_box, digest, there)


def fails_with_the_small_ones(push_box: PushBox) -> bool:
    """A pull that fails; true where all layers but the large one are in the cache."""
    with pytest.raises(RemoteError, match=r"digest|checksum|match"):
        push_box.pull(":0123456789abcdef")
    check_nothing_is_left(push_box)
    layers = json.loads(read_manifest(push_box.container, "0123456789abcdef"))["layers"]
    small = {layer["digest"].removeprefix("sha256:") for layer in layers if layer["size"] < LARGE_BYTES}
    assert len(small) == len(layers) - 1
    return small <= {name for name, _ in cached(push_box)}


def cached(push_box: PushBox) -> set[tuple[str, str]]:
    """The layers in the cache, and when they were written."""
    cache = "/scratch/researcher/slipway/cache/cache/blob/blobs"
    lines = push_box.as_root("find", cache, "-type", "f", "-printf", "%f %T@\n").splitlines()
    return {(name, at) for name, _, at in (line.partition(" ") for line in lines)}


def check_another_compression_is_another_file(push_box: PushBox, digest: str, there: PushedSif) -> None:
    # A cache that somebody else has, with whom one shares the scratch.
    push_box.as_root("chown", "root", "/scratch/researcher/slipway/cache")
    gzip, pulled = push_box.pull(f"@{digest}", compression="gzip")
    assert pulled
    push_box.as_root("chown", "researcher", "/scratch/researcher/slipway/cache")
    assert gzip.path != there.path
    assert [compression_of(push_box, one) for one in (there, gzip)] == ["zstd", "gzip"]
    # A record that is none is written anew.
    push_box.as_root("sh", "-c", f"echo '[' >{gzip.path.with_suffix('.json')}")
    assert push_box.pull(f"@{digest}", compression="gzip")[1]
    assert push_box.pull(f"@{digest}") == (there, False)


def others_may(push_box: PushBox, sif: PushedSif) -> str:
    return push_box.as_root("stat", "-c", "%A", str(sif.path)).strip()[-3:]


def compression_of(push_box: PushBox, sif: PushedSif) -> str:
    container = engine().containers.get(Box(state=push_box.session.project.state).name)
    chunks, _ = container.get_archive(str(sif.path))
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        archive.extractall(push_box.session.project.state, filter="data")
    return read_sif(push_box.session.project.state / sif.path.name).compression


def trust(push_box: PushBox) -> None:
    """What the owner of a cluster does for an institute's own authority."""
    box = engine().containers.get(Box(state=push_box.session.project.state).name)
    box.put_archive(
        "/usr/local/share/ca-certificates", packed({"own.crt": push_box.container.authority.read_bytes()})
    )
    push_box.as_root("update-ca-certificates")


@contextmanager
def watched(push_box: PushBox) -> Iterator[list[str]]:
    """Look at all processes there and here, with their environments, again and again."""
    script = (
        "ps -eww -o args; cat /proc/[0-9]*/environ | tr '\\0' '\\n'; "
        "find /scratch/researcher -name docker-config.json -printf 'login %m %s\\n'"
    )
    seen: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.append(push_box.as_root("bash", "-c", script))
            here = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=False)
            seen.append(here.stdout)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def check_nobody_saw_the_password(push_box: PushBox, seen: list[str], run: Run) -> None:
    from base64 import b64encode

    # Enough was looked at: the pull at work, and the credentials in a file of the user's own.
    assert any("apptainer build" in text and "docker://" in text for text in seen)
    modes = {line for text in seen for line in text.splitlines() if line.startswith("login ")}
    assert modes
    assert all(line.startswith("login 600 ") for line in modes)
    secrets = [
        push_box.container.password,
        b64encode(f"{USER}:{push_box.container.password}".encode()).decode(),
    ]
    state = push_box.session.project.state
    seen += [path.read_text(errors="replace") for path in state.rglob("*") if path.is_file()]
    seen += [json.dumps(run_values(run)), *push_box.listener.said]
    assert not [secret for secret in secrets for text in seen if secret in text]
    for secret in secrets:
        found = push_box.as_root(
            "grep", "-rlF", "--", secret, "/scratch", "/home", "/tmp", "/var/log", "/root"
        )
        assert found == ""


@pytest.mark.usefixtures("published")
def test_a_sif_is_pulled_in_a_job(push_box: PushBox) -> None:
    trust(push_box)
    there, pulled = push_box.pull(":0123456789abcdef.sif", kind="oras://", as_job=True)
    assert pulled
    sif, _ = convert_step(push_box.session, push_box.choice.profile)
    assert (there.sha256, there.size_bytes, there.image_id) == (sif.sha256, sif.size_bytes, sif.image_id)
    assert push_box.as_root("sha256sum", str(there.path)).split()[0] == sif.sha256
    assert others_may(push_box, there) == "r-x"
    accounting = ["sacct", "-nX", "--allusers", "--format=jobname%20,state", "--name=slipway-pull"]
    # SLURM keeps books with some delay.
    wait_until(lambda: "COMPLETED" in push_box.as_root(*accounting), lambda: push_box.as_root(*accounting))
    assert push_box.as_root(*accounting).split() == ["slipway-pull", "COMPLETED"]
    check_nothing_is_left(push_box)


@pytest.mark.usefixtures("published")
def test_mistakes_have_a_message_and_an_exit_code_each(push_box: PushBox, tmp_path: Path) -> None:
    container = push_box.container
    with pytest.raises(UnknownImageError, match="no such image") as unknown:
        push_box.pull(":no-such-tag")
    assert unknown.value.exit_code == 88
    with pytest.raises(UnknownImageError, match=f"write oras://{container.there}"):
        push_box.pull(":0123456789abcdef.sif")
    for password, words in (("wrong", r"refuses this to \$oauthtoken"), (None, "without credentials")):
        with logged_in(container, tmp_path / str(password), password):
            for mistake in (push_box.publish, lambda: push_box.pull(":0123456789abcdef")):
                with pytest.raises(RegistryLoginError, match=words) as login:
                    mistake()
                assert login.value.exit_code == 87
                assert "docker login" in str(login.value)
    # The engine wants a certificate that it trusts, except of 127.0.0.1.
    with pytest.raises(RegistryTrustError, match=r"/etc/docker/certs\.d/"):
        publish_step(push_box.session, push_box.choice.profile, f"{container.there}/me", None)
    with pytest.raises(RegistryError, match="does not answer") as closed:
        publish_step(push_box.session, push_box.choice.profile, "127.0.0.1:9/me", None)
    assert closed.value.exit_code == 86


@pytest.mark.long
@pytest.mark.usefixtures("published")
def test_a_registry_that_only_the_box_reaches(push_box: PushBox, monkeypatch: pytest.MonkeyPatch) -> None:
    # This machine's way to it ends at a proxy that is not there.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    digest = manifest_digest_of_box(push_box)
    trust(push_box)
    push_box.as_root("sh", "-c", f"rm -f /scratch/researcher/slipway/images/{IMAGE}-*")
    there, pulled = push_box.pull(f"@{digest}", kind="oras://")
    assert pulled
    assert there.image_id == digest
    assert any("its digest is known" in text for text in push_box.listener.said)
    with pytest.raises(RegistryError, match="does not answer"):
        push_box.pull(":0123456789abcdef")


def manifest_digest_of_box(push_box: PushBox) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HTTPS_PROXY")
        return manifest_digest(push_box.container, "0123456789abcdef.sif")


@pytest.mark.long
def test_what_a_version_tag_does(push_box: PushBox, tmp_path: Path) -> None:
    """The script that the workflow calls, with this registry in the place of GitHub's."""
    name = f"slipway-test-release-{OWN}"
    write_release(tmp_path, payload=b"1")
    options = ["--set", f"IMAGE={name}", "--set", f"DOCKERFILE={tmp_path / 'Dockerfile'}"]
    state = push_box.session.project.state
    environment = {
        **os.environ,
        "SLIPWAY": f"{sys.executable} -m invoke",
        "SLIPWAY_STATE": str(state),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    place, out = f"{push_box.container.here}/me/slipway", tmp_path / "published"

    def release(**settings: str) -> "subprocess.CompletedProcess[str]":
        argv = [str(ROOT / ".ci" / "release"), "cpu", place, "v1.2.3", str(out), *options]
        env = {**environment, **settings}
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    try:
        done = release()
        assert done.returncode == 0, done.stderr
        assert names(out) == [
            "slipway-cpu-v1.2.3.SHA256SUMS",
            "slipway-cpu-v1.2.3.json",
            "slipway-cpu-v1.2.3.sif",
        ]
        image, sif = json.loads((out / "slipway-cpu-v1.2.3.json").read_text())
        assert (image["tag"], sif["tag"]) == ("v1.2.3", "v1.2.3.sif")
        assert str(state) not in json.dumps([image, sif])
        for one in (image, sif):
            assert manifest_digest(push_box.container, one["tag"], f"me/slipway/{name}") == one["digest"]
        file = out / "slipway-cpu-v1.2.3.sif"
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert f"sha256:{digest}" in sif_layers(push_box.container, name)
        assert (out / "slipway-cpu-v1.2.3.SHA256SUMS").read_text() == f"{digest}  {file.name}\n"
        check_sums(out)
        check_what_is_attested(tmp_path, environment, image, sif)
        # A .sif that GitHub would not take, and what its release's notes say of the parts.
        done = release(RELEASE_FILE_LIMIT="9000000")
        assert done.returncode == 0, done.stderr
        parts = sorted(out.glob("*.sif.part-*"))
        assert not file.exists()
        assert len(parts) > 1
        subprocess.run(["sh", "-c", f"cat {file.name}.part-* >{file.name}"], cwd=out, check=True)
        check_sums(out)
        made = content(name, "/made")
        check_layers_come_from_the_registry(push_box, tmp_path, name, place, made)
    finally:
        remove_images(name)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check_sums(folder: Path) -> None:
    check = ["sha256sum", "--check", "--strict", "slipway-cpu-v1.2.3.SHA256SUMS"]
    subprocess.run(check, cwd=folder, check=True, capture_output=True)


def check_what_is_attested(
    folder: Path, environment: dict[str, str], image: dict[str, str], sif: dict[str, str]
) -> None:
    """The workflow's own step, which finds what was published in the folder ``published``."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    (step,) = (one for one in workflow["jobs"]["attest"]["steps"] if one.get("id") == "published")
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=folder, env=environment, check=True)
    assert (folder / "output").read_text().splitlines() == [
        f"docker-name={image['name']}",
        f"docker-digest={image['digest']}",
        f"oras-name={sif['name']}",
        f"oras-digest={sif['digest']}",
        "checksums=published/slipway-cpu-v1.2.3.SHA256SUMS",
    ]


def write_release(folder: Path, payload: bytes) -> None:
    # From the small image that is there already.
    lines = [f"FROM {IMAGE} AS builder", "RUN cat /proc/sys/kernel/random/uuid >/made", f"FROM {IMAGE}"]
    lines += ["COPY --from=builder /made /made", "COPY payload /payload", ""]
    (folder / "Dockerfile").write_text("\n".join(lines))
    (folder / "payload").write_bytes(payload)
    (folder / ".dockerignore").write_text("*\n!payload\n")


def content(image: str, path: str) -> bytes:
    container = engine().containers.create(image, "true")
    try:
        chunks, _ = container.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            file = archive.extractfile(archive.getmembers()[0])
            assert file is not None
            return file.read()
    finally:
        container.remove()


def sif_layers(container: RegistryContainer, name: str) -> str:
    url = f"https://{container.there}/v2/me/slipway/{name}/manifests/v1.2.3.sif"
    accepted = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    auth = (USER, container.password)
    return requests.get(
        url, auth=auth, headers=accepted, verify=str(container.authority), timeout=PATIENCE_S
    ).text


def check_layers_come_from_the_registry(
    push_box: PushBox, folder: Path, name: str, place: str, made: bytes
) -> None:
    # Another machine: nothing of it is here any more.
    remove_images(name)
    write_release(folder, payload=b"2")
    options = [f"IMAGE={name}", f"DOCKERFILE={folder / 'Dockerfile'}"]
    _, built = build_step(push_box.session, push_box.session.profile("cpu", options), cache=place)
    assert built
    # What the builder's step made by chance is what it was.
    assert (content(name, "/made"), content(name, "/payload")) == (made, b"2")
