"""Logging in as a user: keys first, then what the server asks a person."""

from __future__ import annotations

import paramiko

from slipway.errors import ConnectionLostError, LoginError, SshError
from slipway.ssh.agent import Identity, IdentityError
from slipway.ssh.identity import ATTEMPTS, Keyring
from slipway.ssh.prompt import Prompt
from slipway.ssh.target import Target
from slipway.ssh.userauth import (
    REPLY_TIMEOUT_S,
    Challenge,
    Closed,
    Failure,
    KeyAccepted,
    NoReply,
    PasswordExpired,
    Reply,
    Success,
    Transport,
    UserAuth,
)

# A server that hangs up after so many keys has most likely had enough of them.
_MANY = 3
_CHECK_USER = "Check the user (login.user in the site's file, or User in ssh_config)"
_NAME_A_KEY = "Name one that the site knows, with IdentityFile in ssh_config or `ssh-add FILE`"


def authenticate(transport: Transport, target: Target, ask: Prompt) -> None:
    """Log in, by all that the server wants: one way, or several in a row.

    Raises:
        LoginError: it refuses, or wants an answer that nobody can give.
        ConnectionLostError: it hangs up for no reason of ours, or falls silent.
        SshError: it does not keep to the protocol.
    """
    login = _Login(transport, target, ask)
    try:
        login.run()
    except (paramiko.SSHException, EOFError, OSError) as error:
        why = error or type(error).__name__
        raise ConnectionLostError(
            f"{target}: the connection was lost during the login ({why}); try again"
        ) from error
    finally:
        login.keyring.agent.close()


class _Login:
    def __init__(self, transport: Transport, target: Target, ask: Prompt) -> None:
        self.keyring = Keyring(target, ask)
        self._transport = transport
        self._target = target
        self._ask = ask
        self._auth = UserAuth(transport, target.user)
        self._keys = iter(self.keyring)
        self._refused: list[str] = []
        self._left = {"keyboard-interactive": ATTEMPTS, "password": ATTEMPTS}
        self._has_answered = False
        self._key_was_taken = False
        self._greeting = ""

    def run(self) -> None:
        reply = self._auth.begin()
        self._greeting = self._auth.words
        offered: tuple[str, ...] = ()
        while not isinstance(reply, Success):
            if isinstance(reply, Failure):
                offered = reply.methods
            reply = self._try_next(self._check(reply), offered)

    def _try_next(self, reply: Failure, offered: tuple[str, ...]) -> Reply:
        for method in self._target.methods:
            if method not in offered:
                continue
            if method == "publickey":
                key = next(self._keys, None)
                if key is not None:
                    return self._try_key(key, reply)
            elif self._left[method]:
                self._left[method] -= 1
                return self._try_prompts() if method == "keyboard-interactive" else self._try_password()
        refusal = LoginError(self._refusal(offered))
        refusal.key_was_taken = self._key_was_taken
        raise refusal

    def _try_key(self, key: Identity, before: Failure) -> Reply:
        try:
            answer = self._auth.probe(key) if key.is_costly else KeyAccepted()
            if isinstance(answer, KeyAccepted):
                answer = self._auth.prove(key)
        except IdentityError as error:
            self.keyring.problems.append(str(error))
            return before  # nothing was sent, so what was offered before still is
        if isinstance(answer, Closed) or (isinstance(answer, Failure) and not answer.partial):
            self._refused.append(key.name)
        self._key_was_taken |= isinstance(answer, Failure) and answer.partial
        return answer

    def _try_prompts(self) -> Reply:
        # As ssh has it: hosts on the way ask by the same words.
        whose = f"{self._target.user}@{self._target.host}"
        reply = self._auth.interactive()
        prompted = False
        while isinstance(reply, Challenge):
            words = "\n".join(word.strip() for word in (reply.title, reply.instructions) if word.strip())
            if words:
                self._tell(words)
            prompted |= bool(reply.prompts)
            reply = self._auth.answer(
                [self._answer(f"({whose}) {prompt}", echo) for prompt, echo in reply.prompts]
            )
        if not prompted:
            self._left["keyboard-interactive"] = 0  # it would refuse once more without asking
        return reply

    def _try_password(self) -> Reply:
        return self._auth.send_password(
            self._answer(f"{self._target.user}@{self._target.host}'s password: ", False)
        )

    def _answer(self, prompt: str, echo: bool) -> str:
        if not self._has_answered and self._auth.words:
            self._ask.tell(self._auth.words.rstrip())
        answer = self._ask.ask(prompt, echo=echo)
        if answer is None:
            raise LoginError(
                f"{self._target}: the server asks {prompt.strip()!r}, and there is no terminal to answer on. "
                f"Run this in a terminal, or log in with a key that needs no answer{self._notes()}"
            )
        self._has_answered = True
        return answer

    def _tell(self, words: str) -> None:
        self._ask.tell(words)

    def _check(self, reply: Reply) -> Failure:
        if isinstance(reply, Failure):
            return reply
        if isinstance(reply, PasswordExpired):
            raise LoginError(explain_expired(self._target, reply.prompt))
        if isinstance(reply, NoReply):
            raise ConnectionLostError(
                f"{self._target}: no answer to the login within {REPLY_TIMEOUT_S} s; try again"
            )
        if isinstance(reply, Closed):
            raise self._hung_up()
        raise SshError(f"{self._target}: the server does not keep to the protocol ({type(reply).__name__})")

    def _hung_up(self) -> SshError:
        farewell = self._transport.farewell
        words = _one_line(farewell or str(self._transport.get_exception() or "") or "without a word")
        text = f"{self._target}: the server hung up during the login ({words})"
        if self._has_answered and farewell:
            return LoginError(f"{text}. The answers to its prompts were wrong; try again{self._notes()}")
        if self._auth.words != self._greeting:
            return LoginError(f"{self._target}: the server ended the login, and has said why{self._notes()}")
        if self._has_answered:
            return ConnectionLostError(
                f"{text}. The connection was cut, or an answer came too late; try again{self._notes()}"
            )
        if self._refused and (farewell or len(self._refused) >= _MANY):
            return LoginError(f"{self._target}: {self._too_many(words)}{self._notes()}")
        return ConnectionLostError(f"{text}; try again{self._notes()}")

    def _too_many(self, words: str) -> str:
        held = len(self.keyring.agent.keys)
        agent = f". The agent holds {held}, and" if held > 1 and not self._target.identities_only else ";"
        return (
            f"too many keys were offered: the server refused {_list(self._refused)} and then hung up "
            f"({words}){agent} servers take only a few. Name the right one in ssh_config with "
            "`IdentityFile FILE`; `IdentitiesOnly yes` keeps the others back"
        )

    def _refusal(self, offered: tuple[str, ...]) -> str:
        ways = " or ".join(offered) or "nothing more"
        tried, remedy = self._tried()
        if "publickey" not in offered:
            tried, remedy = "no key helps there", _CHECK_USER
        if self._has_answered:
            tried += ", and the answers to its prompts were wrong"
        what = f"{self._target}: the login was refused. The server takes {ways}; {tried}"
        return f"{what}. {remedy}{self._notes()}"

    def _tried(self) -> tuple[str, str]:
        """What became of the keys, and what to do about it."""
        if self._refused:
            return f"it refused {_list(self._refused)}", f"{_CHECK_USER}, and that the site knows such a key"
        if self.keyring.problems:
            return "no key could be used", "What is wrong with them:"
        return "there was no key to offer", _NAME_A_KEY

    def _notes(self) -> str:
        notes = [*self.keyring.problems]
        # Not the greeting, which may be long: what it has said since, such as that the account has ended.
        if self._auth.words != self._greeting:
            notes.append(f"the server says: {_one_line(self._auth.words)}")
        return "".join(f"\n  {note}" for note in notes)


def explain_expired(target: Target, words: str = "") -> str:
    """What to say where the password has to be changed before anything else; a :class:`LoginError`."""
    said = f" ({_one_line(words)})" if words.strip() else ""
    return (
        f"{target}: the password has expired and has to be changed first{said}. Log in with "
        f"`{target.ssh_command}`, change it, and try again"
    )


def _list(names: list[str]) -> str:
    return f"{len(names)} key{'s' if len(names) > 1 else ''} ({', '.join(names)})"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
