import pytest

from slipway.errors import UsageError
from slipway.quantity import parse_array
from slipway.scheduler.choose import FIELDS, parse_resources
from slipway.scheduler.slurm.option import check_option, quote_option
from slipway.scheduler.slurm.resources import SlurmResources


def test_words_of_the_command_line() -> None:
    words = {
        "time": "1:00:00",
        "cpus": "4",
        "mem": None,
        "gpus": "a100:2",
        "nodes": "2",
        "exclusive": "true",
        "constraint": "a100&ib",
        "array": "1-9:2,20%3",
        "dependency": "afterok:12:13,afterany:14_1",
    }
    assert parse_resources(words, ["--hold"]) == FIELDS(
        time="1:00:00",
        cpus=4,
        gpus="a100:2",
        nodes=2,
        exclusive=True,
        constraint="a100&ib",
        array="1-9:2,20%3",
        dependency="afterok:12:13,afterany:14_1",
        sbatch=("--hold",),
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("time", "tomorrow", "--time tomorrow: write it as minutes, H:MM:SS or D-HH:MM:SS"),
        ("cpus", "many", "--cpus many: write a whole number"),
        ("cpus", "0", "--cpus 0: write 1 or more"),
        ("nodes", "-1", "--nodes -1: write 1 or more"),
        ("mem", "4 G", "--mem 4 G: write it as a number with K, M, G or T behind it"),
        ("gpus", "two", None),
        ("gpus", "a100:", "--gpus a100:: write it as a number, or a type and a number"),
        ("partition", "a b", "--partition a b: write it as a name"),
        ("constraint", "a\nb", "--constraint a\nb: write it as features"),
        ("array", "0-", "--array 0-: write it as numbers and ranges"),
        ("array", "1\n", "--array"),
        ("dependency", "afterok", "--dependency afterok: write it as a condition"),
        ("dependency", "singleton", "--dependency singleton"),
    ],
)
def test_values_of_the_wrong_kind(key: str, value: str, message: str | None) -> None:
    if message is None:
        # A type of GPU may have any name.
        assert parse_resources({key: value}) == FIELDS(gpus=value)
        return
    with pytest.raises(UsageError) as caught:
        parse_resources({key: value})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("word", ["--hold", "--comment=a b # 'c'", "--mem-per-cpu=2G", "--licenses=a:1"])
def test_other_options(word: str) -> None:
    assert check_option(word) == word


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("hold", "write one long option of sbatch, such as --comment=mine or --hold"),
        ("-", "write one long option"),
        ("--comment mine", "write one long option"),
        ("", "write one long option"),
        ("--comment=a\nb", "an option is one line"),
        ("--job-name=mine", "that is Slipway's own --job-name: a job's name is its run's id"),
        ("--job=mine", "that is Slipway's own --job-name"),
        ("--output=x", "that is Slipway's own --output"),
        ("--error=x", "that is Slipway's own --error"),
        ("--signal=USR2", "that is Slipway's own --signal: the site's grace_s"),
        ("--no-requeue", "that is Slipway's own --no-requeue"),
        ("--chdir=/", "that is Slipway's own --chdir"),
        ("--wrap=id", "that is Slipway's own --wrap"),
        ("--parsable", "that is Slipway's own --parsable"),
        ("--export=ALL", "that is Slipway's own --export: the container gets a clean environment"),
        ("--time=5", "that is sbatch's --time, for which there is --time"),
        ("--cpus-per-task=5", "that is sbatch's --cpus-per-task, for which there is --cpus"),
        ("--gpus-per-node=5", "for which there is --gpus"),
    ],
)
def test_options_that_contradict_the_contract(word: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_resources({}, [word])
    assert message in str(caught.value)
    assert str(caught.value).startswith("--sbatch ")


def test_other_options_add_up() -> None:
    chosen = SlurmResources(sbatch=("--nice=5",), cpus=1).over(
        SlurmResources(sbatch=("--hold",), cpus=9, mem="1G")
    )
    assert chosen == SlurmResources(sbatch=("--hold", "--nice=5"), cpus=1, mem="1G")


def test_quoting_for_a_line_of_the_script() -> None:
    assert quote_option("--licenses=a:1,b@c") == "--licenses=a:1,b@c"
    assert quote_option("--comment=a 'b' \"c\" \\ #") == "--comment=a\\ \\'b\\'\\ \\\"c\\\"\\ \\\\\\ \\#"


@pytest.mark.parametrize(
    ("gpus", "count", "kind"),
    [(None, 0, None), ("0", 0, None), ("2", 2, None), ("a100", 1, "a100"), ("a100:4", 4, "a100")],
)
def test_gpus(gpus: str | None, count: int, kind: str | None) -> None:
    wanted = SlurmResources(gpus=gpus)
    assert (wanted.gpu_count, wanted.gpu_type) == (count, kind)


@pytest.mark.parametrize(
    ("spec", "indices"),
    [("0-3", [0, 1, 2, 3]), ("5", [5]), ("1,7,3", [1, 3, 7]), ("0-9:4%2", [0, 4, 8]), ("1-2,2-3", [1, 2, 3])],
)
def test_arrays(spec: str, indices: list[int]) -> None:
    assert parse_array(spec) == indices
