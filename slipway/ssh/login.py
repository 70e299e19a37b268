"""Getting to a host and logging in there, through all hosts on the way."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import paramiko

from slipway.errors import ConnectionLostError, HostNameError, SshError, UnreachableError
from slipway.shell import open_proxy
from slipway.ssh.alive import keep_alive
from slipway.ssh.auth import authenticate
from slipway.ssh.hostkey import HostKey, check_host_key, host_key_error, known_kinds
from slipway.ssh.prompt import Prompt
from slipway.ssh.target import Target
from slipway.ssh.transport import CHANNEL_TIMEOUT_S, DEAD_AFTER_S
from slipway.ssh.userauth import Transport

# Nobody has set up paramiko's logger, and Python would print its tracebacks.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

OnHostKey = Callable[[Target, HostKey], None]
Hop = tuple[Target, Transport]
_PROHIBITED = 1  # RFC 4254, 5.1
_CHECK_PORT = "check login.port in the site's file or Port in ssh_config"
_HUNG_UP = (EOFError, OSError)
# A server with many logins under way (MaxStartups) hangs up on some new ones, by chance.
AGAIN_S: tuple[float, ...] = (0.5, 1, 2)


def log_in(
    target: Target,
    ask: Prompt,
    on_host_key: OnHostKey | None = None,
    *,
    enter: bool = True,
    through: Sequence[Transport] = (),
) -> Sequence[Transport]:
    """Log in to a host, and to those on the way.

    Args:
        target: the host.
        ask: who answers the prompts.
        on_host_key: is shown each host's key, and raises to refuse it. Default:
            :func:`refuse_unknown_key`.
        enter: log in to the last one too, and not only to those on the way.
        through: connections to the first hosts on the way, which are used and stay.

    Returns:
        One connection a host that was logged in to now, the last one's last.

    Raises:
        HostNameError: there is no such host.
        UnreachableError: a host does not answer as an SSH server.
        HostKeyError: it is not known yet.
        HostKeyChangedError: it is not the one that is known.
        LoginError: it refuses the login.
        ConnectionLostError: the connection was lost meanwhile.
        SshError: a host and this side have nothing in common.
    """
    hops = (*target.jumps, target)
    opened: list[Transport] = []
    try:
        for number, hop in enumerate(hops[len(through) :], len(through) + 1):
            with _on_the_way(number, hops):
                before = [*through, *opened][-1:]
                opened.append(_greet_patiently(hop, (hops[number - 2], before[0]) if before else None))
                (on_host_key or refuse_unknown_key)(hop, shown_key(opened[-1]))
                if enter or hop is not target:
                    authenticate(opened[-1], hop, ask)
                    keep_alive(opened[-1], hop.keep_alive_s)
    except BaseException:
        close(opened)
        raise
    return opened


def close(transports: Sequence[Transport]) -> None:
    """Log out everywhere, the farthest host first."""
    for transport in reversed(transports):
        with suppress(OSError, EOFError):
            transport.close()


def refuse_unknown_key(target: Target, shown: HostKey) -> None:
    """Go on only where the host's key is known.

    Raises:
        HostKeyError: it is unknown.
        HostKeyChangedError: it is another one, or revoked.
    """
    verdict = check_host_key(target, shown)
    if verdict.state != "known":
        raise host_key_error(target, shown, verdict)


def shown_key(transport: Transport) -> HostKey:
    """The key that the host has shown, and proved to have."""
    key = transport.get_remote_server_key()
    return HostKey(kind=key.get_name(), blob=key.asbytes())


@contextmanager
def _on_the_way(number: int, hops: Sequence[Target]) -> Iterator[None]:
    try:
        yield
    except SshError as error:
        is_away = number == 1 and isinstance(error, (HostNameError, UnreachableError))
        vpn = f"\n  This site says of its VPN: {hops[-1].vpn}" if is_away and hops[-1].vpn else ""
        if number == len(hops) and not vpn:
            raise
        way = (
            f"jump host {number} of {len(hops) - 1} on the way to {hops[-1]}: " if number < len(hops) else ""
        )
        raise type(error)(f"{way}{error}{vpn}") from error


class _HungUpError(UnreachableError):
    """The server has hung up before it said anything."""


def _greet_patiently(target: Target, through: Hop | None) -> Transport:
    """Like :func:`_greet`, and some times more where the server hangs up at once."""
    for pause_s in AGAIN_S:
        try:
            return _greet(target, through)
        except _HungUpError:
            time.sleep(pause_s)
    try:
        return _greet(target, through)
    except _HungUpError as error:
        raise UnreachableError(str(error)) from error


def _greet(target: Target, through: Hop | None) -> Transport:
    """A connection on which both sides have agreed on keys and the host has shown its own."""
    transport = Transport(_socket(target, through))
    timeout_s = target.connect_timeout_s
    transport.banner_timeout = transport.handshake_timeout = timeout_s
    transport.channel_timeout = CHANNEL_TIMEOUT_S
    options = transport.get_security_options()
    known = [kind for kind in known_kinds(target) if kind in options.key_types]
    options.key_types = (*known, *(kind for kind in options.key_types if kind not in known))
    began = time.monotonic()
    try:
        transport.start_client(timeout=2 * timeout_s)
        if not transport.initial_kex_done:
            raise TimeoutError
    except (paramiko.SSHException, OSError, EOFError) as error:
        transport.close()
        is_late = time.monotonic() - began >= timeout_s
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            raise SshError(
                f"{target}: the server and this side have no algorithm in common ({error}). One of them is "
                "very old, or set up to take very little: show this to the site's administrators"
            ) from error
        # What a ProxyCommand does has no such reason.
        is_busy = _has_hung_up(error) and not (is_late or transport.remote_version or target.proxy_command)
        kind = _HungUpError if is_busy else UnreachableError
        raise kind(f"{target}: {_no_handshake(transport, target, error, is_late)}") from error
    return transport


def _no_handshake(transport: Transport, target: Target, error: Exception, is_late: bool) -> str:
    where = f"port {target.port}"
    if is_late:
        return (
            f"{where} is open, but no SSH server answers within {target.connect_timeout_s:g} s; is it the "
            "right port, and is a VPN needed?"
        )
    if transport.farewell:
        return f"the server hung up before the login ({transport.farewell}); try again in some minutes"
    if target.proxy_command and not transport.remote_version:
        return (
            f"no SSH server answers through its ProxyCommand `{target.proxy_command}`; try that command in a "
            "shell"
        )
    if transport.remote_version or _has_hung_up(error):
        return (
            "the server hung up before the login. It may be overloaded, or keep this address out for a while "
            "after failed logins; try again in some minutes"
        )
    return f"what answers on {where} is not an SSH server; {_CHECK_PORT}"


def _has_hung_up(error: Exception) -> bool:
    return isinstance(error, _HUNG_UP) or isinstance(error.__context__, _HUNG_UP)


def _socket(target: Target, through: Hop | None) -> Any:
    if through is not None:
        return _channel(target, *through)
    if target.proxy_command:
        return open_proxy(target.proxy_command)
    try:
        connection = socket.create_connection((target.host, target.port), timeout=target.connect_timeout_s)
    except (socket.gaierror, UnicodeError) as error:
        # Python refuses some names before anybody is asked for them.
        why = error.strerror if isinstance(error, socket.gaierror) else "it cannot be a host's name"
        raise HostNameError(
            f"{target}: no host of this name is found ({why}); check login.host in the site's file or "
            "HostName in ssh_config. Is this machine online, and is a VPN needed?"
        ) from error
    except OSError as error:
        raise UnreachableError(f"{target}: {_no_connection(target, error)}") from error
    # Without it each short command waits 40 ms for an acknowledgement.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Keep-alives that nobody acknowledges end the connection; the system's own patience is 15 minutes.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_S * 1000)
    return connection


def _no_connection(target: Target, error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return (
            f"no answer within {target.connect_timeout_s:g} s. Is the host up, and is a VPN needed? "
            "ConnectTimeout in ssh_config waits longer"
        )
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens on port {target.port}; {_CHECK_PORT}"
    return f"there is no way to it ({error.strerror or error}). Is this machine online, and is a VPN needed?"


def _channel(target: Target, jump: Target, through: Transport) -> paramiko.Channel:
    place = (target.host, target.port)
    try:
        return through.open_channel("direct-tcpip", place, ("127.0.0.1", 0), timeout=target.connect_timeout_s)
    except paramiko.ChannelException as error:
        why = through.refusal or error.text
        if error.code == _PROHIBITED:
            raise SshError(
                f"{target}: the jump host {jump} does not pass connections on ({why}). It may not let users "
                f"do so (AllowTcpForwarding), or want a new password first: try `{jump.ssh_command}`"
            ) from error
        raise UnreachableError(
            f"{target}: the jump host {jump} gets no connection to it ({why}); check the name and the port "
            "as they are seen from there"
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        if not through.is_active():
            raise ConnectionLostError(
                f"{target}: the connection to the jump host {jump} was lost; try again"
            ) from error
        raise UnreachableError(
            f"{target}: the jump host {jump} got no connection to it within {target.connect_timeout_s:g} s"
        ) from error
