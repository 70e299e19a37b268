from pathlib import Path

import pytest

from slipway.errors import ConfigError
from slipway.site import Login
from slipway.target import Target, resolve_target

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
    with pytest.raises(ConfigError, match=r"config2, which does not exist$"):
        resolve_target(Login(host="hpc", ssh_config="config2"), state)
    with pytest.raises(ConfigError, match=r"does not exist; `invoke box.up` makes it"):
        resolve_target(Login(host="box", ssh_config="box/ssh_config"), state)
    (state / "config").write_text("Host hpc\n  Port many\n")
    with pytest.raises(ConfigError, match="cannot be understood"):
        resolve_target(Login(host="hpc", ssh_config="config"), state)
