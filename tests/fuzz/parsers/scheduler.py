"""What schedulers print."""

from __future__ import annotations

from collections.abc import Callable

from slipway.errors import SlipwayError
from slipway.monitor.there import rows as rows_there
from slipway.monitor.there import slurm as slurm_there
from slipway.monitor.there import status as status_there
from slipway.scheduler.host import answer as queue_answer
from slipway.scheduler.host.program import parse_answer as parse_queue_answer
from slipway.scheduler.ngc import instances
from slipway.scheduler.ngc import parse as ngc
from slipway.scheduler.ngc import results as ngc_results
from slipway.scheduler.ngc import submit as ngc_submit
from slipway.scheduler.pbs import answers as pbs_answers
from slipway.scheduler.pbs import attributes as pbs
from slipway.scheduler.pbs import check as pbs_check
from slipway.scheduler.pbs import job as pbs_job
from slipway.scheduler.pbs import name as pbs_name
from slipway.scheduler.pbs import node as pbs_node
from slipway.scheduler.pbs import submission as pbs_submission
from slipway.scheduler.pbs import usage as pbs_usage
from slipway.scheduler.slurm import array_limit, limits, memory, node, nodes, parse, partitions, report, trial
from slipway.scheduler.slurm import usage as slurm_usage
from slipway.shell import Result
from tests.fuzz.parsers.common import NOW, Parser, each, from_data, from_tests, result
from tests.fuzz.samples import files, literals

_SLURM = ("test_slurm", "test_scheduler_text", "test_poll", "test_array")
_QUEUES = ("test_queues", "test_partitions", "test_automatic", "test_scheduler_text")
_PBS = from_data("pbs/*.txt")
_NGC = from_data("ngc/*")


def submission(reader: Callable[[int, str, str], object]) -> Callable[[str], object]:
    def read(text: str) -> object:
        done = result(text)
        return reader(done.exit_code, done.stdout, done.stderr)

    return read


def _queue_answers(text: str) -> None:
    answer = parse_queue_answer(text)
    each(lambda _: queue_answer.read_jobs(answer), lambda _: queue_answer.read_offer(answer))(text)


def _there(text: str) -> None:
    rows_there.parse_elapsed(text)
    rows_there.parse_state(text)
    status_there.parse_result(text)
    done = result(text)
    slurm_there.parse_submission(
        slurm_there.Done(code=done.exit_code, stdout=done.stdout, stderr=done.stderr)
    )
    readers = (rows_there.parse_queue, rows_there.parse_accounting, rows_there.parse_shown)
    each(*readers, errors=(rows_there.UnreadableError,))(text)


SCHEDULERS = (
    Parser(name="squeue", source="SLURM", read=parse.parse_queue, samples=from_tests(*_SLURM), share=3),
    Parser(name="sacct", source="SLURM", read=parse.parse_accounting, samples=from_tests(*_SLURM), share=3),
    Parser(name="scontrol-job", source="SLURM", read=parse.parse_shown, samples=from_tests(*_SLURM), share=2),
    Parser(
        name="sbatch",
        source="SLURM",
        read=each(submission(parse.parse_submission), parse.parse_submitted),
        samples=from_tests(*_SLURM),
    ),
    Parser(
        name="sbatch-test-only",
        source="SLURM",
        read=each(
            lambda text: trial.parse_trial(
                Result(argv=("sbatch",), exit_code=0, stdout="", stderr=text), 0, NOW
            ),
            trial.parse_now,
        ),
        samples=from_tests("test_automatic", "test_scheduler_text"),
    ),
    Parser(
        name="sinfo",
        source="SLURM",
        read=each(partitions.parse_partitions, nodes.parse_nodes, memory.parse_memory),
        samples=from_tests(*_QUEUES),
        share=2,
    ),
    Parser(
        name="scontrol-show",
        source="SLURM",
        read=each(
            nodes.parse_rules,
            nodes.parse_waiting,
            nodes.parse_settings,
            node.parse_nodes,
            array_limit.parse_array_size,
            array_limit.parse_default_account,
        ),
        samples=from_tests(*_QUEUES),
    ),
    Parser(
        name="sacctmgr",
        source="SLURM",
        read=each(
            partitions.parse_associations,
            partitions.parse_qos,
            limits.parse_own_associations,
            limits.parse_qos_limits,
        ),
        samples=from_tests(*_QUEUES),
    ),
    Parser(
        name="sacct-usage",
        source="SLURM",
        read=each(slurm_usage.parse_usage, slurm_usage.parse_tres, slurm_usage.parse_size),
        samples=from_tests("test_slurm_usage", "test_usage"),
        share=2,
    ),
    Parser(
        name="sreport",
        source="SLURM",
        read=each(report.parse_jobs, report.parse_totals, report.parse_private),
        samples=from_tests("test_report", "test_site_report"),
    ),
    Parser(
        name="slurm-words",
        source="SLURM",
        read=each(
            parse.parse_state,
            parse.parse_elapsed,
            nodes.parse_gpus,
            lambda text: parse.parse_tasks(text, "squeue"),
        ),
        samples=from_tests("test_slurm", more=("7_[0-9%2]", "1-02:03:04", "gpu:a100:4(S:0-1),lustre:1")),
    ),
    Parser(
        name="qstat",
        source="PBS",
        read=each(
            pbs.parse_jobs,
            lambda text: pbs.parse_text(text, "Queue"),
            lambda text: pbs_answers._read(result(text)),
        ),
        samples=_PBS,
        share=2,
    ),
    Parser(name="pbsnodes", source="PBS", read=pbs.parse_nodes, samples=_PBS),
    Parser(
        name="pbs-words",
        source="PBS",
        read=each(
            pbs_check.parse_version,
            pbs_name.parse_id,
            pbs_usage.parse_size,
            pbs_job.parse_number,
            pbs_job.parse_clock,
            pbs_job.parse_time,
            pbs_node.parse_hosts,
            submission(pbs_submission.parse_submission),
        ),
        samples=from_tests("test_pbs", "test_pbs_asked"),
    ),
    Parser(
        name="ngc",
        source="NVIDIA's platform",
        read=each(ngc.parse_jobs, ngc.parse_job, instances.parse_instances),
        samples=lambda: (*files("ngc/*"), *literals("test_ngc")),
        share=2,
    ),
    Parser(
        name="ngc-words",
        source="NVIDIA's platform",
        read=each(ngc_results.parse_notes, submission(ngc_submit.parse_submission)),
        samples=from_tests("test_ngc"),
    ),
    Parser(
        name="queue-of-a-host",
        source="our programs there",
        read=_queue_answers,
        samples=from_tests(
            "test_host_queue",
            more=(
                (
                    'slipway-queue {"jobs": [{"id": 7, "name": "a-run-20260131-142530", "state": "RUNNING", '
                    '"started": 1, "ended": 3, "exit_code": 0, "gpus": [0], "cpus": [1]}], '
                    '"gpus": '
                    '[{"name": "A100", "is_free": true}], "running": 1, "places": 2, "waiting": 0, '
                    '"cpus": 4, '
                    '"memory_bytes": 9000000000, "node": "n1"}\n'
                ),
            ),
        ),
    ),
    Parser(
        name="slurm-for-the-monitor",
        source="SLURM",
        read=_there,
        samples=from_tests(*_SLURM, "test_monitor_there", "test_monitor_there_same"),
        errors=(SlipwayError, rows_there.UnreadableError),
        share=2,
    ),
)
