"""What a job of the profile would ask for, beside what the scheduler lets this user have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, skipped, warning
from slipway.doctor.there.scheduler import command
from slipway.errors import JobError, ParseError
from slipway.scheduler.find import find_health, find_scheduler
from slipway.scheduler.health import OpenPartition
from slipway.scheduler.limits import ResourceRequest, check_partition, find_problem
from slipway.scheduler.slurm.resources import own
from slipway.text.nearest import nearest

_SO = "the scheduler would refuse the job"
_FOREVER = "the job would wait for ever"


def _look_at_partition(facts: Facts, answer: Answer) -> Finding:
    try:
        check_partition(facts.wanted, facts.there)
    except JobError as error:
        what, _, remedy = str(error).partition("; ")
        fix = remedy.rpartition("for ever. ")[2]
        return failed(what, so="`invoke job` would refuse it", fix=f"{fix[:1].lower()}{fix[1:]}")
    if answer.exit_code != 0:
        return skipped(f"the partitions cannot be asked: {answer.words[:100]}")
    text, _, groups = answer.text.rpartition("groups ")
    try:
        there = find_health(facts.there.scheduler).read_partitions(text)
    except ParseError as error:
        return skipped(str(error))
    found = judge_partitions(facts.wanted, there, groups.split(), _accounts(facts), facts.there.name)
    return _unless_taken(facts, found)


def judge_partitions(
    request: ResourceRequest,
    there: Sequence[OpenPartition],
    groups: Sequence[str],
    accounts: Sequence[str] | None,
    site: str,
) -> Finding:
    """Whether this user may have the partitions that are asked for, and whether these have what is asked for.

    Args:
        request: what is asked for; without a partition the scheduler's own choice is looked at.
        there: what there is.
        groups: the user's groups there.
        accounts: those that the job may be on; ``None`` where that is not known.
        site: its name.
    """
    known = {one.name: one for one in there}
    names = request.partitions or [one.name for one in there if one.is_default]
    if not names:
        fix = f"--partition, PARTITION in the profile, or defaults.partition of {site}: {', '.join(known)}"
        return failed("none is asked for, and there is no default", so=_SO, fix=fix)
    for name in names:
        if name not in known:
            said = request.named("partition", f"there is no partition {name}")
            return failed(f"{said}{nearest(name, known)}", so=_SO, fix=f"name one of: {', '.join(known)}")
    found = [_judge_partition(request, known[name], groups, accounts, site) for name in names]
    return next((one for one in found if one.is_usable), found[0])


def _judge_partition(
    request: ResourceRequest,
    one: OpenPartition,
    groups: Sequence[str],
    accounts: Sequence[str] | None,
    site: str,
) -> Finding:
    fix = "name another partition, or ask the site for access"
    if one.groups is not None and not set(one.groups) & set(groups):
        return failed(f"{one.name} is for the groups {', '.join(one.groups)} only", so=_SO, fix=fix)
    mine = accounts or ()
    if one.accounts is not None and mine and not set(one.accounts) & set(mine):
        return failed(f"{one.name} is for the accounts {', '.join(one.accounts)} only", so=_SO, fix=fix)
    if mine and set(mine) <= set(one.no_accounts):
        return failed(f"{one.name} is not for the account {', '.join(mine)}", so=_SO, fix=fix)
    if problem := find_problem(
        request, one.queue, f"partition {one.name} of {site}", "(as the scheduler says)"
    ):
        return failed(problem, so=_FOREVER, fix="ask for less, or name another partition")
    if one.state != "UP":
        so = "jobs wait until the site opens it again"
        return warning(f"{one.name} is {one.state}", so=so, fix="wait, or name another partition")
    return ok(f"{one.name}{' (the default)' if not request.partitions else ''}")


def _look_at_account(facts: Facts, answer: Answer) -> Finding:
    accounts = _read_accounts(facts, answer)
    if accounts is None:
        return skipped(f"the accounts cannot be asked: {answer.words[:100] or 'there was no answer'}")
    return _unless_taken(facts, judge_account(facts.wanted, accounts))


def judge_account(request: ResourceRequest, accounts: Mapping[str, Sequence[str]]) -> Finding:
    """Whether the user has the account that is asked for."""
    wanted = request.resources.account
    if not accounts:
        if wanted is None:
            return ok("none is asked for; this user is on no list of accounts")
        said = request.named("account", f"account {wanted} is asked for, and this user is in none")
        return failed(said, so=_SO, fix="ask the site to add you to it, or leave it out")
    if wanted is not None and wanted not in accounts:
        said = request.named("account", f"account {wanted} is not one of yours")
        return failed(f"{said}{nearest(wanted, accounts)}", so=_SO, fix=f"yours are: {', '.join(accounts)}")
    return ok(wanted or f"the default of yours: {', '.join(accounts)}")


def _look_at_qos(facts: Facts, _: Answer) -> Finding:
    wanted = own(facts.wanted.resources).qos
    if wanted is None:
        return skipped("none is asked for")
    accounts = _read_accounts(facts, facts.answer("account"))
    if not accounts:
        return skipped("the accounts, which have them, cannot be asked")
    return _unless_taken(facts, judge_qos(facts.wanted, wanted, accounts))


def judge_qos(request: ResourceRequest, wanted: str, accounts: Mapping[str, Sequence[str]]) -> Finding:
    """Whether the user may have the quality of service that is asked for."""
    account = request.resources.account
    mine = accounts.get(account, ()) if account else [one for qos in accounts.values() for one in qos]
    known = list(dict.fromkeys(one for one in mine if one))
    if not known:
        return skipped("the site lists none for your accounts")
    if wanted not in known:
        said = request.named("qos", f"qos {wanted} is not one of yours{f' in {account}' if account else ''}")
        return failed(f"{said}{nearest(wanted, known)}", so=_SO, fix=f"name one of: {', '.join(known)}")
    return ok(wanted)


def _look_at_trial(facts: Facts, answer: Answer) -> Finding:
    trial = find_health(facts.there.scheduler).read_trial(answer.exit_code or 0, answer.text)
    if trial.refusal is None and trial.expected is None:
        title = find_scheduler(facts.there.scheduler).title
        return skipped(f"{title} cannot be asked about a job without submitting it")
    if trial.refusal is None:
        return ok(f"would begin {trial.expected}")
    asked = facts.wanted.resources.model_dump(exclude={"sbatch", "qsub"}, exclude_none=True)
    shown = ", ".join(facts.wanted.named(key, f"{key} {value}") for key, value in asked.items())
    return failed(
        f"refused: {trial.refusal}",
        so=f"{_SO}, which asks for: {shown or 'nothing'}",
        fix="change one of these",
    )


def _unless_taken(facts: Facts, found: Finding) -> Finding:
    """The same, unless the scheduler itself would take such a job: not each one holds to its own lists."""
    answer = facts.answer("request")
    if found.consequence != _SO or answer.exit_code != 0:
        return found
    if find_health(facts.there.scheduler).read_trial(answer.exit_code, answer.text).expected is None:
        return found
    return warning(found.seen, so="the scheduler would take the job all the same, today", fix=found.fix)


def _accounts(facts: Facts) -> Sequence[str] | None:
    """The accounts that the job may be on."""
    if facts.wanted.resources.account:
        return [facts.wanted.resources.account]
    return list(_read_accounts(facts, facts.answer("account")) or ()) or None


def _read_accounts(facts: Facts, answer: Answer) -> Mapping[str, Sequence[str]] | None:
    if answer.exit_code != 0:
        return None
    try:
        return find_health(facts.there.scheduler).read_accounts(answer.text)
    except ParseError:
        return None


CHECKS = (
    Check(
        name="partition",
        title="partition",
        place=Place.THERE,
        about="The partition exists, is up and open to this user, and allows what is asked for.",
        predicts="The scheduler refuses the job, or it waits for ever.",
        look=_look_at_partition,
        ask=lambda facts: f'{command(facts, "partitions")} || exit; echo "groups $(id -Gn)"',
        needs=("scheduler",),
    ),
    Check(
        name="account",
        title="account",
        place=Place.THERE,
        about="The account is one of this user's.",
        predicts="The scheduler refuses the job.",
        look=_look_at_account,
        ask=lambda facts: command(facts, "accounts"),
    ),
    Check(
        name="qos",
        title="QOS",
        place=Place.THERE,
        about="The quality of service is one of this user's.",
        predicts="The scheduler refuses the job.",
        look=_look_at_qos,
    ),
    Check(
        name="request",
        title="a job like that",
        place=Place.THERE,
        about="The scheduler itself is asked about such a job, without submitting it (`sbatch --test-only`).",
        predicts="The scheduler refuses the job.",
        look=_look_at_trial,
        ask=lambda facts: command(facts, "trial"),
        needs=("scheduler",),
    ),
)
