"""Records and caches, here and there."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from slipway.code.upload import _sent_path, recall_sent
from slipway.dataset.fetched import read_notes
from slipway.dataset.length import parse_lengths, read_lengths
from slipway.dataset.manifest import parse_manifest
from slipway.hash_cache import HashCache
from slipway.job.kept import _tree_path, recall_tree
from slipway.job.record_file import read_record
from slipway.jsontext import load_json
from slipway.scheduler.host.there.place import read_json
from slipway.sweep.record import SweepStore
from slipway.transfer.sftp.journal import parse_journal
from slipway.weights.stage import find_source
from tests.fuzz.parsers.common import Parser, as_binary, as_bytes, as_file, each, folder, from_tests, of
from tests.fuzz.samples import files, repository


def _known_hashes(text: str) -> None:
    place = folder() / "hashes"
    HashCache(place, place).remember({"a": ((1, 2, 3, 4), "0" * 64)})
    (file,) = place.glob("*.json")
    file.write_bytes(as_bytes(text))
    for key, digest in HashCache(place, place).hashed.values():
        assert len(key) == 4
        assert isinstance(digest, str)


def _names_inside(text: str) -> None:
    for name in parse_manifest(text).files:
        assert not name.startswith("/")
        assert ".." not in name.split("/")


def _sweeps(file: Path) -> None:
    list(SweepStore(file.parent).all())


_MANIFEST = f"# Slipway manifest 1\n# file\t7\t1\t-\n{'0' * 64} *a\n"


def _trees(text: str) -> None:
    state = folder() / "trees"
    for file in (_tree_path(state, "a"), _sent_path(state, "hpc", Path("/p"))):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("latin-1", "replace"))
    recall_tree(state, "a")
    recall_sent(state, "hpc", Path("/p"))


def _trees_kept() -> Sequence[str]:
    rows = '{"a b": ["f", "0000"], "c": ["l", "a"]}'
    return rows, gzip.compress(rows.encode(), mtime=0).decode("latin-1")


RECORDS = (
    Parser(
        name="json",
        source="records",
        read=load_json,
        samples=lambda: (*files("run-*.json"), '{"a": [1, 2.5e3, null]}'),
        errors=(ValueError,),
    ),
    Parser(
        name="run-record",
        source="records",
        read=as_file(read_record, "records/k3f9-base-20260131-142530.json"),
        samples=lambda: (*files("run-*.json"), *_records()),
        share=3,
    ),
    Parser(
        name="sweep-record",
        source="records",
        read=as_file(_sweeps, "sweeps/a.json"),
        samples=from_tests(
            "test_sweep",
            more=('{"version": 1, "sweep_id": "a", "created": "2026-01-31T14:25:30Z", "elements": []}',),
        ),
    ),
    Parser(
        name="manifest",
        source="records",
        read=_names_inside,
        samples=from_tests("test_manifest", more=(_MANIFEST,)),
        share=2,
    ),
    Parser(
        name="known-hashes",
        source="records",
        read=_known_hashes,
        samples=of('{"a": [1, 2, 3, 4, "' + "0" * 64 + '"]}'),
    ),
    Parser(
        name="fetched-notes",
        source="records",
        read=as_file(read_notes, "notes/a.json"),
        samples=from_tests("test_dataset_fetch", more=('{"a": {"url": "https://a/b", "sha256": "1"}}',)),
    ),
    Parser(
        name="weights-list",
        source="records",
        read=as_file(lambda file: find_source(file, "droid.pth"), "weights/w.json"),
        samples=lambda: (
            *repository("env/weights.json"),
            '{"droid.pth": {"url": "https://a/b", "sha256": "' + "0" * 64 + '"}}',
        ),
    ),
    Parser(
        name="upload-journal",
        source="records",
        read=as_binary(parse_journal),
        samples=of(f"{'0' * 64}\n{'a' * 64}\n"),
    ),
    Parser(
        name="kept-trees",
        source="records",
        read=_trees,
        samples=_trees_kept,
        share=0.5,
    ),
    Parser(
        name="queue-file",
        source="records",
        read=as_file(read_json, "queue/a.json"),
        samples=of('{"id": 7, "state": "RUNNING"}'),
    ),
    Parser(
        name="lengths",
        source="records",
        read=each(parse_lengths, as_file(read_lengths, "lengths/a.json")),
        samples=from_tests(
            "test_sweep_limit",
            "test_datasets",
            more=('slipway-lengths {"a": {"frames": 7}}\n', '{"a": {"frames": 7, "seconds": 1.5}}'),
        ),
    ),
)


@cache
def _records() -> tuple[str, ...]:
    from slipway.job.record import format_run
    from tests.unit.test_run import make_run

    return (format_run(make_run("k3f9-base-20260131-142530")),)
