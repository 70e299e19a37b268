"""Files that may be damaged: reading them ends in a value, or in the error that the reader has for it.

MemoryError, RecursionError and all else that is not named here is a failure.
"""

import hashlib
import json
import tarfile
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slipway.box.spec import parse_ready
from slipway.dataset.manifest import parse_manifest
from slipway.download import _resume
from slipway.errors import ConfigError, ParseError
from slipway.hash_cache import HashCache
from slipway.job.ending import merge_status, parse_result
from slipway.job.submission_lock import parse_answer
from slipway.jsontext import load_json
from slipway.push.upload import parse_record
from slipway.weights.stage import find_source

DEEP = "[" * 100_000
LONG = "9" * 5000
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**4000)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)
RESULT = {"exit_code": 0, "signal": None, "reason": "ok", "start": 1, "end": 3, "job_id": "7"}
IMAGE = {"image_id": "sha256:1", "sha256": "1", "size_bytes": 1}
SHA = "0" * 64


def changed(values: dict[str, object]) -> st.SearchStrategy[str]:
    """The values as JSON, one of them replaced by anything."""
    return st.tuples(st.sampled_from(sorted(values)), JSON).map(
        lambda one: json.dumps({**values, one[0]: one[1]})
    )


ANY = st.text() | JSON.map(json.dumps) | st.sampled_from([DEEP, LONG, "1e999", "\0" * 999])


@given(ANY | changed(RESULT))
@example('{"exit_code": 1e999, "reason": "ok", "start": 1, "end": 2}')
@example(f'{{"exit_code": {LONG}, "reason": "ok", "start": 1, "end": 2}}')
@example(json.dumps({**RESULT, "end": 10**4000}))
@example(json.dumps({**RESULT, "job_id": "-u me"}))
def test_results(text: str) -> None:
    with suppress(ParseError):
        status = merge_status(None, parse_result(text))
        assert str(status)


@given(st.text() | st.sampled_from(["\u00b2\0\0\0", f"{LONG}\0\0\0", "\0" * 999]))
def test_answers(text: str) -> None:
    with suppress(ParseError):
        parse_answer(text)


@given(ANY | changed(IMAGE))
def test_records_of_images(text: str) -> None:
    with suppress(ParseError):
        record = parse_record(text.encode(errors="surrogatepass"), PurePosixPath("/s/a.sif"))
        assert isinstance(record.sha256, str)


FILE = f"# file\t{{}}\t{{}}\t-\n{SHA} *{{}}\n"


@given(
    st.text().map(lambda text: f"# Slipway manifest 1\n{text}\n")
    | st.tuples(st.text(), st.text(), st.text()).map(lambda one: f"# Slipway manifest 1\n{FILE.format(*one)}")
)
@example(f"# Slipway manifest 1\n{FILE.format(LONG, 1, 'a')}")
@example(f"# Slipway manifest 1\n{FILE.format(1, chr(0xB2), 'a')}")
def test_manifests(text: str) -> None:
    with suppress(ParseError):
        for name in parse_manifest(text).files:
            assert not name.startswith("/")
            assert ".." not in name.split("/")


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "", "a//b", "."])
def test_a_manifest_has_no_names_outside_of_the_dataset(name: str) -> None:
    with pytest.raises(ParseError, match="none of a manifest's"):
        parse_manifest(f"# Slipway manifest 1\n{FILE.format(1, 1, name)}")


@given(st.binary() | st.binary(max_size=100).map(lambda tail: tarfile.TarInfo("ready").tobuf() + tail))
def test_the_boxs_report(archive: bytes) -> None:
    with suppress(ParseError):
        parse_ready(archive)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


@given(
    content=st.binary(),
    at=st.integers(0, 200),
    byte=st.integers(0, 255),
    is_proven=st.booleans(),
)
def test_remembered_hashes(place: Path, content: bytes, at: int, byte: int, is_proven: bool) -> None:
    """Another byte in them makes them nothing; nonsense with a right hash is no error."""
    known = {"a": ((1, 2, 3, 4), SHA), "\udcff\n": ((2**64 - 1, -1, 0, 0), SHA)}
    HashCache(place, place).remember(known)
    (file,) = place.glob("*.hashes")
    assert HashCache(place, place).hashed == known
    broken = bytearray(file.read_bytes())
    broken[at % len(broken)] = byte
    found = HashCache(place, place).hashed if file.write_bytes(broken) and not is_proven else {}
    assert found in ({}, known)
    file.write_bytes(hashlib.sha256(content).digest() + content if is_proven else content)
    for key, digest in HashCache(place, place).hashed.values():
        assert len(key) == 4
        assert isinstance(digest, str)
    file.unlink()


@given(text=ANY | JSON.map(lambda one: json.dumps({"droid.pth": one})) | changed({"url": "u", "sha256": SHA}))
def test_known_weights(place: Path, text: str) -> None:
    file = place / "weights.list"
    file.write_text(text, errors="surrogatepass")
    with suppress(ConfigError):
        assert isinstance(find_source(file, "droid.pth").url, str | None)


@given(text=ANY | changed({"url": "https://a/b", "version": "1"}))
def test_what_a_download_was_of(place: Path, text: str) -> None:
    note = place / "note"
    note.write_text(text, errors="surrogatepass")
    assert all(isinstance(value, str) for value in _resume(3, "https://a/b", note).values())


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a": ', "}")])
def test_json_has_fifty_levels_at_most(begin: str, end: str) -> None:
    assert load_json(f"{begin * 50}7{end * 50}")
    for levels in (51, 900, 100_000):
        with pytest.raises(ValueError, match="it is nested too deeply"):
            load_json(f"{begin * levels}7{end * levels}")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", LONG])
def test_json_has_numbers_that_are_some(number: str) -> None:
    assert load_json("[1e300, -7]") == [1e300, -7]
    with pytest.raises(ValueError, match=r"finite number|integer string"):
        load_json(f"[{number}]")
