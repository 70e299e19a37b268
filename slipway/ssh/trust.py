"""Getting to know a site's hosts: their keys are shown, and kept where a person says so."""

from __future__ import annotations

from dataclasses import dataclass, field

from slipway.errors import HostKeyError
from slipway.ssh.hostkey import HostKey, add_known, check_host_key, host_key_error, remove_known
from slipway.ssh.prompt import Prompt
from slipway.ssh.target import Target

_KNOWN = "known already"


@dataclass(kw_only=True)
class HostKeyPrompt:
    """Meets hosts on the way to a site, for :func:`slipway.ssh.login.log_in`.

    Attributes:
        ask: who says whether a key is right.
        yes: nobody has to.
        replace: a key that has changed may be put in the place of the known one.
        comment: what the lines end with that are written.
        lines: what to tell in the end, a line a host.
    """

    ask: Prompt
    yes: bool = False
    replace: bool = False
    comment: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def news(self) -> list[str]:
        """The lines of hosts that were not known."""
        return [line for line in self.lines if not line.endswith(_KNOWN)]

    def on_host_key(self, target: Target, shown: HostKey) -> None:
        """Show a host's key where it is not known, and keep it if that is wanted.

        Raises:
            HostKeyError: it is not.
            HostKeyChangedError: the key is another one than the one that is known, or revoked.
        """
        verdict = check_host_key(target, shown)
        name = f"{target.host}:{target.port}"
        if verdict.state == "known":
            self.lines.append(f"{name}  {shown}  {_KNOWN}")
            return
        if verdict.state == "revoked" or (verdict.state == "changed" and not self.replace):
            raise host_key_error(target, shown, verdict)
        for line in verdict.known:
            self.ask.tell(f"{name} was known by {line}")
        self.ask.tell(f"{name} shows {shown}")
        self._confirm(target, shown)
        copies = remove_known(target, verdict.known)
        kept = f"kept in {add_known(target, shown, self.comment)}"
        copied = "".join(f", the file as it was in {copy}" for copy in copies)
        self.lines.append(f"{name}  {shown}  {kept}{copied}")

    def _confirm(self, target: Target, shown: HostKey) -> None:
        if self.yes:
            return
        answer = self.ask.ask("Is this what the site publishes? (yes, or the fingerprint) ", echo=True)
        if answer is None:
            raise HostKeyError(
                f"{target}: there is no terminal to confirm the host's key on\n"
                f"  shown: {shown}\n"
                "  If that is what the site publishes, say so with --yes"
            )
        if answer.strip() not in ("yes", shown.fingerprint):
            raise HostKeyError(f"{target}: the host's key was not confirmed, and nothing is kept")


def trust_host_keys(target: Target, ask: Prompt, *, yes: bool = False, replace: bool = False) -> list[str]:
    """Meet a site's host and those on the way to it; where there are any, log in to these.

    Returns:
        What became of each host's key, a line a host.

    Raises:
        SshError: a host cannot be reached, or its key is not confirmed, has changed or is revoked.
    """
    from slipway.ssh.login import close, log_in

    acquaintance = HostKeyPrompt(ask=ask, yes=yes, replace=replace)
    close(log_in(target, ask, acquaintance.on_host_key, enter=False))
    return acquaintance.lines
