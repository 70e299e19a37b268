"""Keys to log in with, and the agent."""

from __future__ import annotations

import os
from pathlib import Path

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, refused, skipped, warning
from slipway.errors import ConfigError
from slipway.ssh.agent import Agent, agent_path
from slipway.ssh.identity import Keyring
from slipway.ssh.target import Target, resolve_target

# Where no site is named: OpenSSH's own names of keys, and the agent of the environment.
_ANYBODY = Target(host="", port=22, user="", key_name="")


_HERE = "the site is this machine, which needs no login"


def _look_at_keys(facts: Facts, _: Answer) -> Finding:
    target = None
    if facts.site is not None and facts.site.login.is_this_machine:
        return skipped(_HERE)
    if facts.site is not None:
        try:
            target = resolve_target(facts.site.login, facts.project.state)
        except ConfigError as error:
            return refused(error, so="no command would log in", fix="correct the site's file")
    prompt = _Questions()
    keyring = Keyring(target or _ANYBODY, prompt)
    try:
        names = [one.name for one in keyring]
    finally:
        keyring.agent.close()
    # A key of an old format whose passphrase would be asked for is one that can be tried.
    locked = [one for one in keyring.problems if prompt.is_about(one)]
    names += [one.partition(" needs ")[0] for one in locked]
    others = target is None or set(target.methods) - {"publickey"}
    problems = [one for one in keyring.problems if one not in locked]
    return judge_keys(
        names, problems, may_do_without=bool(others), site=facts.site.name if facts.site else "SITE"
    )


class _Questions:
    """Somebody who answers nothing, and knows what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        """Answer nothing."""
        self.asked.append(prompt)
        return None

    def tell(self, text: str) -> None:
        """Hear it."""

    def is_about(self, problem: str) -> bool:
        """Whether a problem is that one of these questions was not answered."""
        path, needs, _ = problem.partition(" needs ")
        return bool(needs) and any(path in prompt for prompt in self.asked)


def judge_keys(names: list[str], problems: list[str], *, may_do_without: bool, site: str) -> Finding:
    """What these keys are worth.

    Args:
        names: of the keys that can be tried.
        problems: what is wrong with others.
        may_do_without: whether a password or a code would do, too.
        site: the site's name.
    """
    problems = [one for one in problems if not one.startswith("the agent at")]
    if names and not problems:
        return ok(f"{len(names)} to try: {', '.join(_short(name) for name in names[:3])}")
    make = f"`invoke ssh.setup {site}` makes a key, and puts it on the cluster"
    seen = "; ".join(problems) if problems else "there is no key"
    fix = problems[0].rpartition(": ")[2] if problems and "`" in problems[0] else make
    if names:
        return warning(seen, so=f"it is left out; {_short(names[0])} is tried", fix=fix)
    if may_do_without:
        return warning(seen, so="each login asks for a password", fix=fix)
    return failed(seen, so="no command would log in: ssh_config allows keys only", fix=fix)


def _look_at_agent(facts: Facts, _: Answer) -> Finding:
    if facts.site is not None and facts.site.login.is_this_machine:
        return skipped(_HERE)
    target = resolve_target(facts.site.login, facts.project.state) if facts.site else _ANYBODY
    path = agent_path(target)
    if not path:
        return skipped("no agent is set (SSH_AUTH_SOCK)")
    agent = Agent(path)
    try:
        return judge_agent(path, len(agent.keys), agent.problem)
    finally:
        agent.close()


def judge_agent(path: str, keys: int, problem: str | None) -> Finding:
    """What this agent is worth."""
    if problem:
        so = "keys in files are tried, and their passphrases asked for at each login"
        return warning(problem, so=so, fix="`eval $(ssh-agent)`, then `ssh-add`; or `unset SSH_AUTH_SOCK`")
    if not keys:
        so = "a key with a passphrase asks for it at each login"
        return warning(f"the agent at {path} holds no key", so=so, fix="`ssh-add`")
    return ok(f"it holds {keys} key{'s' * (keys != 1)}")


def _look_at_config(_: Facts, __: Answer) -> Finding:
    file = Path("~/.ssh/config").expanduser()
    if not hasattr(os, "getuid") or not file.is_file():
        return skipped("there is no ~/.ssh/config")
    status = file.stat()
    if status.st_mode & 0o022 or status.st_uid not in (0, os.getuid()):
        return warning(
            f"others may write to {file} (mode {status.st_mode & 0o777:o})",
            so="ssh refuses such a file: `ssh` and `rsync` by hand would not start",
            fix=f"`chmod 600 {file}`",
        )
    return ok(f"mode {status.st_mode & 0o777:o}")


def _short(name: str) -> str:
    home = f"{Path.home()}/"
    return f"~/{name.removeprefix(home)}" if name.startswith(home) else name


CHECKS = (
    Check(
        name="key",
        title="SSH keys",
        place=Place.HERE,
        about="Keys that can be tried, and those that cannot: open to others, damaged, of another format.",
        predicts="Each login asks for a password, or none succeeds.",
        look=_look_at_keys,
    ),
    Check(
        name="agent",
        title="SSH agent",
        place=Place.HERE,
        about="The agent answers, and holds keys.",
        predicts="Passphrases are asked for at each login.",
        look=_look_at_agent,
    ),
    Check(
        name="ssh-config",
        title="~/.ssh/config",
        place=Place.HERE,
        about="Nobody else may write to it.",
        predicts="`ssh` itself refuses to start.",
        look=_look_at_config,
    ),
)
