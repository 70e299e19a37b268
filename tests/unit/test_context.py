"""What is sent to the engine for a build."""

import tarfile
from pathlib import Path

from slipway.image.context import pack_context
from slipway.image.recipe import CA_BUNDLE, Recipe


def test_whoever_runs_the_image_may_read_what_only_its_owner_may_here(tmp_path: Path) -> None:
    """So it is with umask 077, for a checkout and for what pip has installed; a job is no root."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a b link /\n")
    (tmp_path / "a").mkdir(mode=0o700)
    for name, mode in (("a/text", 0o600), ("b", 0o700), ("c", 0o644)):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(mode)
    recipe = Recipe(name="a", dockerfile=tmp_path / "Dockerfile", platform="")
    with (
        pack_context(recipe, {"SSL_CERT_FILE": str(tmp_path / "b")}.get) as file,
        tarfile.open(fileobj=file) as tar,
    ):
        modes = {member.name: member.mode for member in tar}
        owners = {(member.uid, member.gid, member.uname) for member in tar}
        bundle = tar.extractfile(CA_BUNDLE)
        assert bundle is not None
        assert bundle.read() == b"b"
    assert modes == {"Dockerfile": 0o644, "a": 0o755, "a/text": 0o644, "b": 0o755, CA_BUNDLE: 0o644}
    assert owners == {(0, 0, "")}
