"""Records and caches, here and there."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

from slipway.code.upload import _sent_path, recall_sent
from slipway.dataset.fetched import read_notes
from slipway.dataset.length import parse_lengths, read_lengths
from slipway.dataset.manifest import parse_manifest
from slipway.dataset.packed import find_version
from slipway.download import _resume
from slipway.hash_cache import HashCache
from slipway.job.home import MARK
from slipway.job.home import _read as _read_mark
from slipway.job.kept import _tree_path, recall_tree
from slipway.job.record_file import read_record
from slipway.jsontext import load_json
from slipway.multiplex.relay import parse_target, target_values
from slipway.notify.pending import PendingStore
from slipway.project import Project
from slipway.scheduler.host.there.place import read_json
from slipway.ssh.target import Target
from slipway.steps.purge import purge_warnings
from slipway.steps.session import Session
from slipway.sweep.record import SweepStore
from slipway.transfer.sftp.journal import parse_journal
from slipway.weights.stage import find_source
from tests.fuzz.parsers.common import (
    ROOT,
    Parser,
    as_binary,
    as_bytes,
    as_file,
    each,
    folder,
    from_tests,
    latin,
    of,
)
from tests.fuzz.samples import files, repository


def _known_hashes(text: str) -> None:
    place = folder() / "hashes"
    HashCache(place, place).remember({"a": ((1, 2, 3, 4), "0" * 64)})
    (file,) = place.glob("*.hashes")
    # With the hash that it begins with, or nothing behind that would be read.
    content = latin(text)
    file.write_bytes(hashlib.sha256(content).digest() + content)
    for key, digest in HashCache(place, place).hashed.values():
        assert len(key) == 4
        assert isinstance(digest, str)


def _names_inside(text: str) -> None:
    for name in parse_manifest(text).files:
        assert not name.startswith("/")
        assert ".." not in name.split("/")


def _sweeps(file: Path) -> None:
    list(SweepStore(file.parent).all())


_HASHES = struct.pack("<QQqqQ", 1, 1, 2, 3, 4).decode("latin-1") + "a\0" + "0" * 64
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


def _brought(file: Path) -> None:
    _read_mark(file.parent)


def _told(file: Path) -> None:
    PendingStore(file.parents[1]).targets(file.stem)


_RUN = "k3f9-base-20260131-142530"


def _warned(file: Path) -> None:
    state = file.parents[1]
    project = Project(root=ROOT, state=state, results=state / "results")
    purge_warnings(Session(project=project))


def _packed(text: str) -> None:
    host: Any = SimpleNamespace(size=lambda path: 7, read=lambda path: as_bytes(text))
    find_version(host, PurePosixPath("/s/a.squashfs"))


def _resumed(text: str) -> None:
    note = folder() / "note.json"
    note.write_bytes(as_bytes(text))
    for value in _resume(7, "https://a/b", note).values():
        assert value.isprintable()


def _recalled(text: str) -> None:
    with suppress(KeyError, TypeError):
        parse_target(load_json(text))


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
        samples=of(_HASHES),
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
        name="mark-of-results",
        source="records",
        read=as_file(_brought, f"results/{MARK}"),
        samples=of(
            '{"version": 1, "complete": true, "brought": "2026-01-31T14:25:30+00:00", '
            '"files": {"a": [7, "' + "0" * 64 + '"], "b c": [0, null]}}'
        ),
    ),
    Parser(
        name="to-be-told",
        source="records",
        read=as_file(_told, f"told/notify/{_RUN}.json"),
        samples=of('{"targets": ["mail", "https://a/b"], "failures": 1, "again_at_s": 1.5}'),
    ),
    Parser(
        name="purge-note",
        source="records",
        read=as_file(_warned, "warned/purge/hpc.json"),
        samples=of('{"days": 30, "due": [["runs", "' + _RUN + '", 2500000], ["data", "a", 9000000]]}'),
        share=0.5,
    ),
    Parser(
        name="packed-dataset",
        source="our files there",
        read=_packed,
        samples=of(
            '{"content": "1", "sha256": "' + "0" * 64 + '", "size_bytes": 7, "files": 1, "content_bytes": 5}'
        ),
    ),
    Parser(
        name="download-note",
        source="records",
        read=_resumed,
        samples=of(
            '{"url": "https://a/b", "version": "\\"7-x\\""}', '{"url": "https://a/b", "version": null}'
        ),
    ),
    Parser(
        name="noted-login",
        source="records",
        read=_recalled,
        samples=lambda: [json.dumps(target_values(_target(jumps=(_target(),))))],
        errors=(ValueError,),
        share=0.5,
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


def _target(**more: Any) -> Target:
    names: dict[str, Any] = {"host": "a", "port": 22, "user": "me", "key_name": "a"}
    return Target(**names, known_hosts=("/k",), global_known_hosts=(), **more)


@cache
def _records() -> tuple[str, ...]:
    from slipway.job.record import format_run
    from tests.unit.test_run import make_run

    return (format_run(make_run("k3f9-base-20260131-142530")),)
