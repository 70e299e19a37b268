"""Secrets of builds: how a profile names them, where they come from, and that they are not shown."""

from pathlib import Path

import pytest

from slipway.build_secret import BuildSecret, hide, parse_build_secret
from slipway.errors import ConfigError
from slipway.profile import load_profile, record_values


def test_words_of_a_profile(tmp_path: Path) -> None:
    assert parse_build_secret("HF_TOKEN", tmp_path) == BuildSecret(id="HF_TOKEN")
    assert parse_build_secret("netrc=../a,b/=c", tmp_path / "x") == BuildSecret(
        id="netrc", file=tmp_path / "a,b/=c"
    )
    assert parse_build_secret("n=~/.netrc", tmp_path).file == Path.home() / ".netrc"


@pytest.mark.parametrize("word", ["", "a b", "a,b", "=x", "a=", "a/b", "--x y", "a\n"])
def test_words_that_name_none(word: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no secret; write"):
        parse_build_secret(word, tmp_path)


def test_values(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_bytes(b"machine \xff\n")
    assert BuildSecret(id="netrc", file=tmp_path / "netrc").read({}) == b"machine \xff\n"
    assert BuildSecret(id="T").read({"T": "\udcffx"}) == b"\xffx"
    with pytest.raises(ConfigError, match=r"names T, which is not in the environment; `export T=…`"):
        BuildSecret(id="T").read({})
    with pytest.raises(ConfigError, match=r"gone, which cannot be read: No such file"):
        BuildSecret(id="netrc", file=tmp_path / "gone").read({})


def test_what_is_hidden() -> None:
    values = {"A": b"correct horse\nbattery staple\n", "B": b"horse\n", "C": b"", "D": b"correct horse 2"}
    # Lines that are too short to tell are left as they are.
    assert hide("battery staple, correct horse, horse", values) == "***, ***, horse"
    assert hide("nothing of it", {}) == "nothing of it"


def test_a_profile_has_their_names_and_no_record_does(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env/.env.base").write_text(
        "IMAGE=a\nDOCKERFILE=Dockerfile\nBUILD_SECRETS=HF_TOKEN netrc=secret/netrc\n"
    )
    profile = load_profile(tmp_path / "env", "base")
    assert profile.build_secrets == (
        BuildSecret(id="HF_TOKEN"),
        BuildSecret(id="netrc", file=tmp_path / "secret/netrc"),
    )
    assert "build_secrets" not in record_values(profile, tmp_path)
    (tmp_path / "env/.env.base").write_text("IMAGE=a\nDOCKERFILE=Dockerfile\nBUILD_SECRETS=a,b\n")
    with pytest.raises(ConfigError, match=r"\.env\.base:3: BUILD_SECRETS: 'a,b' is no secret"):
        load_profile(tmp_path / "env", "base")
