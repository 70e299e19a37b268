"""What our own programs, and those of others, print on a cluster."""

from __future__ import annotations

import types
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from slipway.access import mark
from slipway.access.there import parse_home
from slipway.dask import answer as dask_answer
from slipway.doctor import program as doctor
from slipway.doctor.catalog import CHECKS
from slipway.doctor.check import Answer, Place
from slipway.doctor.there.quota import parse_quota
from slipway.errors import SlipwayError
from slipway.host.inventory import parse_find
from slipway.init.cluster import parse_facts
from slipway.job import submission_lock
from slipway.job.ending import parse_result
from slipway.job.usage import _parse_gpus
from slipway.keep.survey import parse_survey
from slipway.monitor.claim import parse_claims
from slipway.monitor.there_host import parse_state
from slipway.push import prune
from slipway.push.build_script import parse_facts as parse_built
from slipway.push.upload import parse_record
from slipway.transfer import basis, checksum, choice, rclone, rsync, rsync_words
from tests.fuzz.parsers.common import (
    TOKEN,
    Parser,
    as_bytes,
    each,
    from_tests,
    of,
    three,
    two,
)
from tests.fuzz.samples import literals


def _survey(text: str) -> object:
    return parse_survey(text.splitlines(), TOKEN)


def _hashes(text: str) -> object:
    return dict(checksum._parse_line(line) for line in text.split("\0") if line)


@cache
def _facts() -> Any:
    from tests.unit.test_doctor import facts

    return facts


def _diagnosis(text: str) -> None:
    number, _, words = text.partition("\n")
    checks = [check for check in CHECKS if check.place is not Place.HERE]
    some = checks if number == "all" else [checks[sum(map(ord, number)) % len(checks)]]
    answer = Answer(exit_code=len(words) % 2, text=words)
    for check in some:
        check.look(_facts()(answers={one.name: answer for one in checks}), answer)


def _fetched(text: str) -> None:
    said = types.SimpleNamespace(step=lambda words: None, line=lambda words: None)
    from slipway.dataset.fetch_there import _Said

    one = _Said(token=TOKEN, progress=said)  # type: ignore[arg-type]
    for line in text.splitlines():
        one.listen(line)


def _marks(text: str) -> None:
    content = as_bytes(text)
    added = mark.add_lines(content, ["ssh-ed25519 AAAA slipway:hpc:me"])
    mark.remove_marked(added, "slipway:hpc", lambda words: mark.is_of_another(words, "me", ["a b"]))
    mark.made_by_us(content)
    mark.has_key(content, "AAAA")


_RUN = "k3f9-base-20260131-142530"
_CLAIMS = f"""\
now 1700000100
{_RUN}/7-1 {_RUN} 1700000000
{_RUN}/run-2 {_RUN} 1700000000
{_RUN}/{_RUN}.submitted submitted 1700000000
slipway: these are all
"""
_HOME = "home /home/me\nuid 1000\nfile .ssh drwx------ 2 1000 1000 7 Jan 1 .ssh\n"

CLUSTER = (
    Parser(
        name="monitor-there",
        source="our programs there",
        read=parse_state,
        samples=from_tests(
            "test_remote_monitor",
            more=('slipway-monitor {"state": "running", "where": "login", "job": "7"}\n',),
        ),
    ),
    Parser(
        name="claims",
        source="our programs there",
        read=parse_claims,
        samples=from_tests("test_remote_monitor", more=(_CLAIMS,)),
    ),
    Parser(
        name="survey",
        source="our programs there",
        read=_survey,
        samples=from_tests(
            "test_keep_survey", more=(f"{TOKEN} item scratch b 3 4 5 6 7 me runs/a\n{TOKEN} user me\n",)
        ),
    ),
    Parser(
        name="submission-answer",
        source="our programs there",
        read=submission_lock.parse_answer,
        samples=of("0\0" + "7\0\0", "1\0\0sbatch: error: no\0", "0\0007;cluster\0\0"),
    ),
    Parser(
        name="result.json",
        source="our programs there",
        read=parse_result,
        samples=from_tests(
            "test_ending",
            "test_over",
            more=('{"exit_code": 0, "signal": null, "reason": "ok", "start": 1, "end": 3, "job_id": "7"}',),
        ),
        share=2,
    ),
    Parser(
        name="gpu-samples",
        source="our programs there",
        read=_parse_gpus,
        samples=from_tests("test_run_usage", "test_usage"),
    ),
    Parser(
        name="find",
        source="programs there",
        read=parse_find,
        samples=from_tests(
            "test_inventory",
            more=("d\t4096\t1700000000.5\t755\0\0\0f\t7\t1700000000.1\t644\0a b\0\0l\t1\t1.0\t777\0c\0/y\0",),
        ),
    ),
    Parser(
        name="sha256sum",
        source="programs there",
        read=_hashes,
        samples=of(f"{'0' * 64} *./a\0{'f' * 64} *./b c\0"),
    ),
    Parser(
        name="rsync-errors",
        source="programs there",
        read=each(
            lambda text: rsync_words.parse_skipped(text, ["/home/a", "/tmp"]), rsync_words.parse_left_out
        ),
        samples=from_tests("test_skipped", "test_rsync"),
        share=2,
    ),
    Parser(
        name="rsync-figures",
        source="programs there",
        read=each(rsync.parse_stats, rsync.parse_progress, choice.parse_version),
        samples=from_tests("test_rsync", "test_carrier_choice"),
    ),
    Parser(
        name="rclone",
        source="programs there",
        read=each(rclone._words, rclone.parse_remote),
        samples=from_tests("test_rclone"),
    ),
    Parser(
        name="left-uploads",
        source="programs there",
        read=basis.parse_left,
        samples=from_tests("test_basis", more=("7 a.sif.part\0008 .basis-7/a.sif\0",)),
    ),
    Parser(
        name="images-there",
        source="programs there",
        read=each(prune.parse_records, lambda text: prune.parse_images(text, "a")),
        samples=from_tests("test_prune"),
    ),
    Parser(
        name="image-record",
        source="our files there",
        read=lambda text: parse_record(as_bytes(text), PurePosixPath("/s/a.sif")),
        samples=from_tests("test_push", more=('{"image_id": "sha256:1", "sha256": "1", "size_bytes": 1}',)),
    ),
    Parser(
        name="built-image",
        source="programs there",
        read=lambda text: parse_built(*map(as_bytes, two(text))),
        samples=from_tests("test_remote_build"),
        errors=(SlipwayError, ValueError),
    ),
    Parser(
        name="doctor-program",
        source="our programs there",
        read=lambda text: doctor.parse_answers(text, TOKEN),
        samples=from_tests("test_doctor_there", more=(f"\n{TOKEN} a 0\nx\n{TOKEN} end 0\n",)),
    ),
    Parser(
        name="doctor-checks",
        source="programs there",
        read=_diagnosis,
        samples=lambda: [
            f"{chr(97 + at % 26)}{at % 7}\n{text}"
            for at, text in enumerate(literals("test_doctor_there", "test_doctor_node"))
        ],
        share=1,
    ),
    Parser(name="quota", source="programs there", read=parse_quota, samples=from_tests("test_doctor_there")),
    Parser(
        name="facts",
        source="programs there",
        read=lambda text: parse_facts(*three(text)),
        samples=from_tests("test_site_add", "test_init", "test_scheduler_text"),
    ),
    Parser(
        name="home-folder",
        source="programs there",
        read=parse_home,
        samples=from_tests("test_access", more=(_HOME,)),
    ),
    Parser(name="authorized_keys", source="files there", read=_marks, samples=from_tests("test_access")),
    Parser(
        name="fetch-there",
        source="our programs there",
        read=_fetched,
        samples=of(
            f"{TOKEN} step fetches a\n{TOKEN} at 7000\n{TOKEN} files 7\ncurl: (6) no\n", f"{TOKEN} at 1\n"
        ),
    ),
    Parser(
        name="dask",
        source="our programs there",
        read=each(
            dask_answer.parse_versions,
            dask_answer.parse_status,
            lambda text: dask_answer.parse_state(as_bytes(text)),
        ),
        samples=from_tests("test_dask"),
    ),
)
