"""The fuzz campaign: every parser of text from outside gets texts that are almost right.

``invoke test.fuzz``, or ``python -m tests.fuzz.campaign``. A parser gives a value or one of its own errors,
with a message; it takes less than five seconds of the processor, and at most 1 GiB of memory. All else is a
finding: it is kept in ``tests/fuzz/corpus``, where tests/unit/test_fuzz.py replays it for ever.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import resource
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.mutation import Mutator
from tests.fuzz.parsers import PARSERS, Parser
from tests.fuzz.parsers.common import LONGEST_MESSAGE, place_of

CORPUS = Path(__file__).parent / "corpus"
# Of the processor, for one input, of at most 100,000 letters.
MOST_S = 5.0
# Beyond what the process has when it begins.
MOST_BYTES = 1 << 30
_VARYING = re.compile(r"[0-9]+|'[^']*'|\"[^\"]*\"")


class TooLongError(BaseException):
    """A parser took longer than it may; nothing that it catches."""


@dataclass
class Count:
    """How one parser did."""

    parser: Parser
    inputs: int = 0
    values: int = 0
    refused: int = 0
    wall_s: float = 0.0
    slowest_s: float = 0.0
    findings: list[str] = field(default_factory=list)


@contextmanager
def limit(most_s: float | None = None) -> Iterator[None]:
    """Let what is inside have so many seconds of the processor."""
    signal.setitimer(signal.ITIMER_PROF, MOST_S if most_s is None else most_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def end_it(*_: Any) -> None:
    raise TooLongError(f"more than {MOST_S} s of the processor")


def fault(parser: Parser, text: str) -> tuple[str | None, str]:
    """What is wrong with how a parser takes a text, or nothing; and what came of it, in a word."""
    try:
        with limit():
            parser.read(text)
    except parser.errors as error:
        message = str(error)
        if not message.strip():
            return f"{type(error).__name__} without a message", "refused"
        if len(message) > LONGEST_MESSAGE:
            return f"a message of {len(message)} letters: {place_of(error)}", "refused"
        return None, f"{type(error).__name__}: {_VARYING.sub('', message)[:80]}"
    except (Exception, TooLongError) as error:
        return f"{type(error).__name__}: {str(error)[:200]}: {place_of(error)}", "broken"
    return None, "value"


def run(parser: Parser, inputs: int, seed: str, corpus: Path | None = CORPUS) -> Count:
    """Hand so many inputs to a parser."""
    count, seen, kinds = Count(parser), {"value"}, set()
    samples = parser.samples()
    taken = [text for text in samples if fault(parser, text)[1] == "value"]
    mutator = Mutator(f"{seed}:{parser.name}", samples, taken, parser.words)
    began = time.perf_counter()
    for _ in range(inputs):
        text = mutator.next()
        started = time.process_time()
        wrong, outcome = fault(parser, text)
        count.slowest_s = max(count.slowest_s, time.process_time() - started)
        count.inputs += 1
        count.values += outcome == "value"
        count.refused += outcome not in ("value", "broken")
        if outcome not in seen and len(seen) < 2000:
            seen.add(outcome)
            mutator.keep(text)
        if wrong and (kind := _VARYING.sub("", wrong.partition(":")[0]) + wrong.split(": ")[-1]) not in kinds:
            kinds.add(kind)
            count.findings.append(wrong)
            if corpus is not None:
                keep(parser, text, corpus)
    count.wall_s = time.perf_counter() - began
    return count


def keep(parser: Parser, text: str, corpus: Path) -> Path:
    """Write a text down for the tests that replay it."""
    content = text.encode("utf-8", "surrogatepass")
    file = corpus / parser.name / hashlib.sha256(content).hexdigest()[:12]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def set_limits() -> None:
    """End what takes too long or too much memory by an exception."""
    signal.signal(signal.SIGPROF, end_it)
    words = Path("/proc/self/statm").read_text().split() if sys.platform == "linux" else []
    if words:
        most = int(words[0]) * resource.getpagesize() + MOST_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def table(counts: Sequence[Count]) -> str:
    """The counts as docs/security.md has them, a row for whose texts they are."""
    lines = [
        "| texts of | parsers | inputs | read | refused | slowest |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    sources = dict.fromkeys(one.parser.source for one in counts)
    for source in sources:
        some = [one for one in counts if one.parser.source == source]
        names = ", ".join(one.parser.name for one in some)
        lines.append(f"| {source} | {names} {_sums(some)}")
    return "\n".join([*lines, f"| all | {len(counts)} parsers {_sums(counts)}"]) + "\n"


def _sums(counts: Sequence[Count]) -> str:
    inputs, values, refused = (
        sum(getattr(one, what) for one in counts) for what in ("inputs", "values", "refused")
    )
    slowest_s = max(one.slowest_s for one in counts)
    return f"| {inputs:,} | {values:,} | {refused:,} | {slowest_s * 1000:.0f} ms |"


def main(words: Sequence[str] | None = None) -> int:
    """Run it; returns the exit code, 1 where there are findings."""
    options = argparse.ArgumentParser(prog="tests.fuzz.campaign", description=__doc__)
    options.add_argument("--inputs", type=int, default=1_000_000, help="how many, of all parsers together")
    options.add_argument("--only", action="append", default=[], help="only this parser; may be repeated")
    options.add_argument("--seed", default="1", help="others make other inputs, the same ones the same")
    options.add_argument("--table", type=Path, help="write the table of docs/security.md into this file")
    options.add_argument("--no-corpus", action="store_true", help="keep no findings")
    given = options.parse_args(words)
    parsers = [one for one in PARSERS if not given.only or one.name in given.only]
    if not parsers:
        print(f"no such parser; there are {', '.join(one.name for one in PARSERS)}", file=sys.stderr)
        return 64
    warnings.simplefilter("error")
    shares = sum(one.share for one in parsers)
    for one in parsers:
        one.samples()
    set_limits()
    counts = []
    for one in parsers:
        number = -int(-given.inputs * one.share // shares)
        count = run(one, number, given.seed, None if given.no_corpus else CORPUS)
        counts.append(count)
        slowest = f"slowest {count.slowest_s * 1000:4.0f} ms"
        print(
            f"{one.name:24} {count.inputs:8,} inputs {count.values:8,} read {count.refused:8,} refused "
            f"{count.wall_s:7.1f} s, {slowest}, {len(count.findings)} findings",
            flush=True,
        )
        for wrong in count.findings:
            print("    " + wrong.replace("\n", "\n    "), flush=True)
    if given.table:
        given.table.write_text(table(counts), encoding="utf-8")
    found = sum(len(one.findings) for one in counts)
    print(f"{sum(one.inputs for one in counts):,} inputs to {len(counts)} parsers; {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
