"""AWS, as far as a cutover asks for it: moto's server on a host of its own, with load balancers for the lab's gateways.

moto moves no traffic. The bridge does: what is set there becomes weights of the lab's HAProxy, so that live connections
follow calls of AWS' API. So does a name server, which answers for the hosted zone lab.test of Route 53. Nothing is built: moto
is one of the tests' Python packages.
"""

from __future__ import annotations

import sys
import urllib.request

from . import balancer, build, knot, proc
from . import settings as s

MODULES: tuple[build.Module, ...] = ()
ADDRESS = s.MOTO
URL = f"http://{ADDRESS}:5000"
MADE = s.STATE / "moto.ready"  # written when everything is set up in it
ZONE_ID = s.STATE / "moto.zone"  # the hosted zone's
REGION = "eu-west-1"
# name of the load balancer: kind, then the listeners of HAProxy that it stands for, by port. A real Application Load
# Balancer would end TLS, and could not stand before the passthrough gateway; here only its weights count.
LOAD_BALANCERS = {
    "public": ("network", {80: "public_http", 443: "public_https"}),
    "passthrough": ("network", {80: "passthrough_http", 443: "passthrough_https"}),
    "front": ("application", {80: "public_http", 443: "public_https"}),
    "front-passthrough": ("application", {80: "passthrough_http", 443: "passthrough_https"}),
}


def start() -> None:
    MADE.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bglab.moto_server", "-H", ADDRESS, "-p", "5000"]
    server = proc.start("moto", command, netns="moto")
    proc.await_("moto", answers, server)
    bridge = proc.start("moto-bridge", [sys.executable, "-m", "bglab.moto_bridge"], netns="moto")
    proc.await_("the load balancers in moto", MADE.exists, bridge)
    names = proc.start("moto-dns", [sys.executable, "-m", "bglab.moto_dns"], netns="moto")
    proc.await_("moto-dns", resolves, names)


def answers() -> bool:
    """By the one page that costs moto nothing: another dumps all that it has, for seconds."""
    with urllib.request.urlopen(f"{URL}/moto-api/config", timeout=5) as answer:
        return bool(answer.status < 300)


def resolves() -> bool:
    return knot.answers(ADDRESS, 53)


def ready() -> None:
    proc.await_("moto", lambda: MADE.exists() and answers() and resolves())


def clean() -> None:
    """HAProxy has the weights that it was started with."""
    MADE.unlink(missing_ok=True)
    for name in sorted({name for _kind, ports in LOAD_BALANCERS.values() for name in ports.values()}):
        balancer.set_weights(name, 100, 0)
