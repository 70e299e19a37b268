"""Mistakes and bad luck with the cluster's files, as users meet them; docs/errors.md has each."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.image.build import build_image
from slipway.image.engine import engine, find_image
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.store import make_sif, tools_recipe
from tests.integration.error_checkout import ROOT, Case, Seen, Topic, UserCheckout, make_checkout
from tests.integration.files_host import SMALL_DISK_BYTES, FilesHost, start_host
from tests.integration.proxy import Proxy

NAME = "slipway-test-heavy"
DOCKERFILE = "FROM scratch\nCOPY heavy /heavy\n"
# Does not fit on the host's small disk, and is long enough to be cut.
HEAVY_BYTES = SMALL_DISK_BYTES + 4_000_000
# What rsync 3.4 prints where the quota is reached, and ends with. A real quota needs a file system that is
# mounted with quotas, which a container may not do.
RSYNC_AT_QUOTA = """#!/bin/sh
case $1 in --server) ;; *) exec /usr/bin/rsync "$@" ;; esac
echo 'rsync: [receiver] write failed on "/srv/image": Disk quota exceeded (122)' >&2
echo 'rsync error: error in file IO (code 11) at receiver.c(381) [receiver=3.4.1]' >&2
exit 11
"""


@dataclass(frozen=True, kw_only=True)
class ClusterCheckout(UserCheckout):
    """A checkout with a profile whose image is built and converted, and a host."""

    host: FilesHost

    def on(self, *words: str, user: str = "key", scratch: str = "/srv", port: int | None = None) -> Seen:
        """Run a task for a site where this user has that scratch."""
        return self.invoke(*words, site=self.site(user, scratch, port))

    def site(self, user: str, scratch: str, port: int | None = None, transfer: str = "auto") -> str:
        """The text of a site's file."""
        config = self.host.state / str(self.host.login(user, port).ssh_config)
        login = f"host: files, user: {user}, ssh_config: {config}, transfer: {transfer}"
        return f"login: {{{login}}}\npaths: {{scratch: {scratch}}}\n"


STAGE = ("stage", "--path", "room")
PUSH = ("push", "--profile", "mine")
TOPIC = Topic[ClusterCheckout]("cluster")
case = TOPIC.case


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesHost]:
    with start_host(tmp_path_factory.mktemp("host")) as host:
        host.sh("chmod 1777 /srv")
        yield host


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder that has the image as a .sif."""
    folder, client = tmp_path_factory.mktemp("heavy"), engine()
    project = Project(root=ROOT, state=folder / "state", results=folder / "results")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "heavy").write_bytes(os.urandom(HEAVY_BYTES))
    build_image(client, Recipe(name=NAME, dockerfile=folder / "Dockerfile", platform=""), NullProgress())
    image = find_image(client, NAME)
    assert image
    make_sif(client, image, project, tools_recipe(project, load_profile(ROOT / "env", "cpu")), NullProgress())
    assert project.client
    yield project.state
    client.images.remove(NAME, force=True)
    client.close()


@pytest.fixture
def checkout(
    host: FilesHost, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ClusterCheckout:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    make_checkout(tmp_path)
    shutil.copytree(ROOT / "singularity", tmp_path / "singularity")
    (tmp_path / "docker" / "Dockerfile.mine").write_text(DOCKERFILE)
    (tmp_path / "env" / ".env.mine").write_text(
        f"IMAGE={NAME}\nDOCKERFILE=docker/Dockerfile.mine\nCODE_DIR=room\n"
    )
    hidden = {
        re.escape(str(tmp_path)): "~/slipway",
        r"\b(key|files|aged|alone|with-bash)@127\.0\.0\.1:\d+": "USER@HOST:PORT",
        r"127\.0\.0\.1": "HOST",
        r"\d[\d,]*\.\d MB": "N MB",
        r"\d+\.\d\d GB": "N GB",
        NAME: "my-image",
        r"my-image-[0-9a-f]{16}": "my-image-ID",
        r"\.[0-9a-f]{8}\.part": ".CLIENT.part",
    }
    return ClusterCheckout(folder=tmp_path, state=converted, hidden=hidden, host=host)


def nothing_half_done(checkout: ClusterCheckout, scratch: str) -> None:
    assert checkout.host.sh('find "$1" -type f', f"{scratch}/slipway") == ""


# --- Scratch


@case("A variable in the site's paths is not set there", 65, "Write the path, or set the variable there.")
def scratch_unset(checkout: ClusterCheckout) -> Seen:
    return checkout.on(*STAGE, scratch="$NO_SCRATCH")


@case("Scratch is not there", 83, "Correct `paths.scratch`, or ask the site for the folder.")
def scratch_missing(checkout: ClusterCheckout) -> Seen:
    return checkout.on(*STAGE, scratch="/scratch/me")


@case("Scratch cannot be written to", 83, "As above.")
def scratch_closed(checkout: ClusterCheckout) -> Seen:
    return checkout.on(*STAGE, scratch="/root")


@case("Scratch cannot be written to, and no commands are run there", 83, "As above.")
def scratch_closed_for_files(checkout: ClusterCheckout) -> Seen:
    return checkout.on(*STAGE, user="files", scratch="/root")


# --- Room


@case("There is no room there for an image", 84, "Make room: `invoke push --prune`, or by hand.")
def no_room_for_an_image(checkout: ClusterCheckout) -> Seen:
    done = checkout.on(*PUSH, scratch="/small")
    nothing_half_done(checkout, "/small")
    return done


@case("There is no room there for data", 84, "Make room.")
def no_room_for_data(checkout: ClusterCheckout) -> Seen:
    (checkout.folder / "room" / "large").write_bytes(bytes(2 * SMALL_DISK_BYTES))
    done = checkout.on(*STAGE, scratch="/small")
    nothing_half_done(checkout, "/small")
    return done


@case(
    "The quota is reached",
    84,
    "Make room; the site says how to see the quota.",
    # The rsync here has words of its own when that one is gone, not always the same.
    **{r"(?s)\[receiver=3\.4\.1\]\n.*(?=\n  What had)": "[receiver=3.4.1]"},
)
def quota_reached(checkout: ClusterCheckout) -> Seen:
    checkout.host.sh("mkdir -p /opt/quota /srv/quota; chown alone /srv/quota")
    checkout.host.sh('printf %s "$1" >/opt/quota/rsync; chmod 755 /opt/quota/rsync', RSYNC_AT_QUOTA)
    checkout.host.sh("echo 'PATH=/opt/quota:$PATH' >/home/alone/.bashrc")
    done = checkout.on(*PUSH, user="alone", scratch="/srv/quota")
    nothing_half_done(checkout, "/srv/quota")
    return done


# --- The line


@case(
    "The connection is lost in the middle of a push",
    82,
    "Give the same command again: it sends the rest.",
    **{r"\(\[Errno[^)]+\)|\([^()]*(?:reset|closed|lost|came back)[^()]*\)": "(WHY)"},
)
def cut_in_the_middle(checkout: ClusterCheckout) -> Seen:
    proxy = Proxy(checkout.host.port)
    proxy.count()
    proxy.when(HEAVY_BYTES // 3, proxy.reset)
    with proxy.slow(10_000_000):
        done = checkout.on(*PUSH, scratch="/srv/cut", port=proxy.port)
    proxy.close()
    assert checkout.host.sh("ls /srv/cut/slipway/images") == ""  # but for the upload folder, which is hidden
    return done


@case("The host runs no commands, and a job is wanted", 85, "Set `login.host` to a login node.")
def no_commands(checkout: ClusterCheckout) -> Seen:
    return checkout.on("job", "--profile", "mine", user="files", scratch="/srv/files")


@case("A start file of the login shell there prints something and ends it", 69, "Change that file.")
def login_shell_that_ends(checkout: ClusterCheckout) -> Seen:
    checkout.host.sh("echo 'echo Welcome; exit' >/home/with-bash/.bashrc")
    return checkout.on("job", "--profile", "mine", user="with-bash", scratch="/srv/files")


@case("The site is to have rsync, and its rsync is too old", 65, "Leave out `login.transfer`: SFTP serves.")
def wants_old_rsync(checkout: ClusterCheckout) -> Seen:
    return checkout.invoke(*STAGE, site=checkout.site("aged", "/srv/aged", transfer="rsync"))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.make.__name__) for case in TOPIC.cases])
def test_a_mistake(checkout: ClusterCheckout, case: Case[ClusterCheckout]) -> None:
    TOPIC.check(checkout, case)


def test_the_documentation_has_these_and_no_others() -> None:
    TOPIC.check_order()
