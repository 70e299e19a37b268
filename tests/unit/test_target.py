from pathlib import Path

import pytest

from slipway.errors import ConfigError
from slipway.site import Login
from slipway.ssh.config import read_config
from slipway.ssh.target import Target, resolve_target

SSH_CONFIG = """
Host hpc
  HostName login.hpc.example.org
  Port 2222
  User me
  IdentityFile /keys/hpc
  IdentitiesOnly yes
  UserKnownHostsFile /keys/known_a /keys/known_b
  ProxyJump you@gate,inner:2022

Host gate
  HostName gate.example.org

Host named
  HostName 127.0.0.1
  Port 40000
  User me
  HostKeyAlias the-box
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "config").write_text(SSH_CONFIG)
    return tmp_path


def test_an_alias_is_resolved_with_its_jumps(state: Path) -> None:
    target = resolve_target(Login(host="hpc", ssh_config="config"), state)
    assert (target.host, target.port, target.user) == ("login.hpc.example.org", 2222, "me")
    assert target.key_name == "[login.hpc.example.org]:2222"
    assert target.identity_files == ("/keys/hpc",)
    assert target.identities_only
    assert target.known_hosts == ("/keys/known_a", "/keys/known_b")
    gate, inner = target.jumps
    assert (gate.host, gate.port, gate.user) == ("gate.example.org", 22, "you")
    assert (inner.host, inner.port) == ("inner", 2022)


def test_the_sites_own_words_go_first(state: Path) -> None:
    target = resolve_target(Login(host="hpc", user="other", port=22, ssh_config="config"), state)
    assert (target.user, target.port, target.key_name) == ("other", 22, "login.hpc.example.org")


def test_host_key_alias(state: Path) -> None:
    target = resolve_target(Login(host="named", ssh_config="config"), state)
    assert target == Target(host="127.0.0.1", port=40000, user="me", key_name="the-box")


def test_a_missing_or_broken_ssh_config_is_named(state: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"config2, which does not exist; correct it, or leave it out for ~/.ssh/config$"
    ):
        resolve_target(Login(host="hpc", ssh_config="config2"), state)
    with pytest.raises(
        ConfigError, match=r"^the box is not up \(.*ssh_config does not exist\); `invoke box.up` starts"
    ):
        resolve_target(Login(host="box", ssh_config="box/ssh_config"), state)
    for line in ("UserKnownHostsFile ~no-such-user/x", "Include ~no-such-user/x"):
        (state / "config").write_text(f"Host hpc\n  {line}\n")
        with pytest.raises(ConfigError, match=r"config cannot be understood: .*home directory"):
            resolve_target(Login(host="hpc", ssh_config="config"), state)
    (state / "config").write_text("Host hpc\n  Port many\n")
    with pytest.raises(
        ConfigError,
        match=r"config cannot be understood: Port many is not a number; `ssh -F .*config -G hpc` shows",
    ):
        resolve_target(Login(host="hpc", ssh_config="config"), state)


def resolve(folder: Path, text: str, host: str = "hpc") -> Target:
    (folder / "config").write_text(text)
    return resolve_target(Login(host=host, ssh_config="config"), folder)


def test_files_are_included(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh" / "conf.d").mkdir(parents=True)
    (tmp_path / ".ssh" / "conf.d" / "1").write_text("Host hpc\n  User one\nHost other\n  Port 3")
    (tmp_path / ".ssh" / "conf.d" / "2").write_text("User two\nPort 2\n")
    # What an included file leaves open does not reach into the file that includes it.
    text = "Include conf.d/* missing\nHostName here\n"
    target = resolve(tmp_path, text)
    assert (target.user, target.port, target.host) == ("one", 2, "here")
    # Within a block both have to match.
    text = "Host h*\n  Include conf.d/1\n  HostName here\nHost o*\n  HostName there\n"
    assert (resolve(tmp_path, text).user, resolve(tmp_path, text).host) == ("one", "here")
    other = resolve(tmp_path, text, "other")
    assert (other.port, other.host) == (22, "there")
    text = "Match originalhost *,!hpc\n  Include conf.d/1\n"
    assert resolve(tmp_path, text, "other").port == 3
    assert resolve(tmp_path, text).user != "one"


def test_a_file_that_includes_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="do not end"):
        resolve(tmp_path, f"Include {tmp_path}/config\n")


def test_a_match_that_cannot_be_told_is_named(tmp_path: Path) -> None:
    text = "Host a\n  Port 1\nMatch host b localnetwork 10.0.0.0/8\n  User x\n"
    with pytest.raises(ConfigError, match=r"config:3: Slipway cannot tell whether `Match localnetwork`"):
        resolve(tmp_path, text)
    # In the system's own file such a block is left out, and Red Hat's `final all` is understood.
    (tmp_path / "config").write_text(f"{text}Match final all\n  Port 5\n")
    lenient = read_config(tmp_path / "config", tmp_path, lenient=True)
    target = resolve(tmp_path, lenient, "b")
    assert (target.user != "x", target.port) == (True, 5)


def test_tokens_quotes_comments_and_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = """
    Host hpc
      User=you # on this one
      Hostname %h.example.org
      IdentityFile "~/my keys/%r@%h"
      IdentityFile %d/other
      UserKnownHostsFile "/a b/known" ~/%n
      GlobalKnownHostsFile none
      ConnectTimeout 1m30s
      ProxyCommand nc -x "a #b" %h %p %n %%
      PreferredAuthentications password,publickey,gssapi-with-mic
      PubkeyAuthentication no
      IdentityAgent ~/agent
      HashKnownHosts yes
    """
    target = resolve(tmp_path, text)
    assert target == Target(
        host="hpc.example.org",
        port=22,
        user="you",
        key_name="hpc.example.org",
        identity_files=("/home/me/my keys/you@hpc.example.org", "/home/me/other"),
        identity_agent="~/agent",
        known_hosts=("/a b/known", "~/hpc"),
        global_known_hosts=(),
        hash_known_hosts=True,
        methods=("password",),
        connect_timeout_s=90,
        proxy_command='nc -x "a #b" hpc.example.org 22 hpc %',
    )


def test_the_way_that_was_said_first_counts(tmp_path: Path) -> None:
    text = "Host a\n  ProxyCommand none\nHost a b\n  ProxyJump c\nHost b\n  ProxyCommand x\n"
    assert (resolve(tmp_path, text, "a").jumps, resolve(tmp_path, text, "a").proxy_command) == ((), None)
    target = resolve(tmp_path, text, "b")
    assert ([jump.host for jump in target.jumps], target.proxy_command) == (["c"], None)


def test_jumps_of_jumps(tmp_path: Path) -> None:
    text = """
    Host a
      ProxyJump b,ssh://me@[::1]:2022/
    Host b
      ProxyJump c
    Host c
      ProxyCommand nc %h %p
    """
    target = resolve(tmp_path, text, "a")
    assert [(jump.host, jump.port, jump.proxy_command) for jump in target.jumps] == [
        ("c", 22, "nc c 22"),
        ("b", 22, None),
        ("::1", 2022, None),
    ]
    with pytest.raises(ConfigError, match="in a circle: a → b → a"):
        resolve(tmp_path, "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n", "a")
    with pytest.raises(ConfigError, match="ProxyJump 'a:b' is not"):
        resolve(tmp_path, "ProxyJump a:b\n")
