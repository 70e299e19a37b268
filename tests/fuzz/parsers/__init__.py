"""All parsers of text from outside: how each is called, which texts it knows, which errors are its own."""

from tests.fuzz.parsers.binary import BINARY
from tests.fuzz.parsers.cluster import CLUSTER
from tests.fuzz.parsers.common import Parser
from tests.fuzz.parsers.image import IMAGES
from tests.fuzz.parsers.record import RECORDS
from tests.fuzz.parsers.result import RESULTS
from tests.fuzz.parsers.scheduler import SCHEDULERS
from tests.fuzz.parsers.written import WRITTEN

__all__ = ["PARSERS", "Parser"]

PARSERS = (*SCHEDULERS, *CLUSTER, *RESULTS, *RECORDS, *WRITTEN, *BINARY, *IMAGES)
