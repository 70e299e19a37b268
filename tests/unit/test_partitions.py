import pytest

from slipway.errors import ParseError
from slipway.scheduler.slurm.array_limit import parse_array_size, parse_default_account
from slipway.scheduler.slurm.partitions import parse_associations, parse_partitions, parse_qos
from slipway.site import Queue

# As `sinfo` and `sacctmgr` of Slurm 24.11 print them.
SINFO = """\
slipway|debug*|1:00:00|1-infinite|3|2|6026|gpu:a100:1,gpu:v100:1|(null)
slipway|long|infinite|1-4|8|64+|500000+|(null)|ib,skylake
slipway|long|infinite|1-4|2|128|1000000|gpu:a100:4(S:0-1)|(null)
slipway|short|30:00|1|3|2|6026|(null)|(null)
"""


def test_partitions() -> None:
    debug, *long, short = parse_partitions(SINFO)
    assert (debug.name, debug.is_default) == ("debug", True)
    assert debug.queue == Queue(max_time="1:00:00")
    assert debug.nodes == "3 with 2 cpus, 6026M, gpu:a100:1,gpu:v100:1"
    assert [part.queue for part in long] == [Queue(max_nodes=4)] * 2
    assert [part.nodes for part in long] == [
        "8 with 64+ cpus, 500000+M, ib,skylake",
        "2 with 128 cpus, 1000000M, gpu:a100:4(S:0-1)",
    ]
    assert (short.is_default, short.queue) == (False, Queue(max_time="30:00", max_nodes=1))


def test_accounts_and_qos() -> None:
    assert parse_associations("lab|normal,quick\nother|\n") == [("lab", "normal,quick"), ("other", "")]
    assert parse_qos("quick|DenyOnLimit,PartitionTimeLimit|00:10:00\nnormal||\n") == [
        ("quick", "DenyOnLimit,PartitionTimeLimit", "00:10:00"),
        ("normal", "", ""),
    ]


@pytest.mark.parametrize("parse", [parse_partitions, parse_associations, parse_qos])
def test_what_is_not_documented_is_refused(parse) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ParseError, match="printed 'slurm_load_"):
        parse("slurm_load_partitions: Unable to contact slurm controller\n")
    assert parse("") == []


def test_other_words_of_a_wrapper_are_left_out() -> None:
    assert parse_partitions(f"Welcome\n{SINFO}") == parse_partitions(SINFO)
    assert parse_associations("Your accounts:\n-----\nlab|normal\n") == [("lab", "normal")]
    assert parse_qos("a notice | of the site | for all\nnormal||\n") == [("normal", "", "")]


def test_a_partition_whose_numbers_are_none() -> None:
    (one,) = parse_partitions("slipway|p|1:2:3:4|²|3|2|6026|(null)|(null)\n")
    assert one.queue == Queue()


@pytest.mark.parametrize(
    ("printed", "sizes"),
    [
        ("MaxArraySize            = 1001\n", [1001]),
        ("Welcome\nMaxArraySize = 40001\n", [40001]),
        ("MaxArraySize = (null)\n", []),
        ("", []),
    ],
)
def test_the_size_of_an_array(printed: str, sizes: list[int]) -> None:
    assert parse_array_size(printed) == sizes


@pytest.mark.parametrize(
    ("printed", "accounts"), [("lab\n", ["lab"]), ("Welcome to hpc\nlab\n", ["lab"]), ("\n", []), ("", [])]
)
def test_the_default_account(printed: str, accounts: list[str]) -> None:
    assert parse_default_account(printed) == accounts
