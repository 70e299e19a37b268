"""What a node reaches of the network outside."""

from __future__ import annotations

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, ok, skipped

_HOSTS = ("github.com", "huggingface.co")
_ASK_NETWORK = """
echo "proxy ${https_proxy:-${HTTPS_PROXY:-}}"
for host in github.com huggingface.co; do
    timeout 10 bash -c '</dev/tcp/$1/443' bash "$host" 2>/dev/null && echo "reached $host" && break
done
true
"""


def _look_at_network(_: Facts, answer: Answer) -> Finding:
    reached, proxy = answer.value("reached"), answer.value("proxy")
    if reached:
        return ok(f"the node reaches {reached}")
    if proxy:
        return skipped("the program gets the address of a proxy (https_proxy), which was not tried")
    return ok("the node reaches nothing outside: stage data and weights before")


CHECKS = (
    Check(
        name="network",
        title="network",
        place=Place.NODE,
        about=f"Whether the node reaches {' or '.join(_HOSTS)}; that is told, and is no failure.",
        predicts="Programs that download something while they run.",
        look=_look_at_network,
        ask=lambda _: _ASK_NETWORK,
    ),
)
