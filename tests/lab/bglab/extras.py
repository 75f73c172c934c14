"""Programs that only some scenarios need: built by name if they are not the system's, added to a running lab, and taken away again.

Each is a Python module with MODULES, and, if it is a controller, with ADDRESS and the functions start(), ready() and
clean(). A controller runs on a host of its own on the wire, since its ports are others' too. That host is also the
record of what runs: nothing else has to be kept.
"""

from __future__ import annotations

import signal
import subprocess
import types

from . import build, flux, helm4, knot, kyverno, moto, net
from .proc import await_

EXTRAS: dict[str, types.ModuleType] = {"dns": knot, "flux": flux, "helm4": helm4, "kyverno": kyverno, "moto": moto}


def modules(name: str) -> tuple[build.Module, ...]:
    found: tuple[build.Module, ...] = EXTRAS[name].MODULES
    return found


def processes(name: str) -> list[str]:
    """Ids of what runs on the host of a controller; of a host that is not there, none."""
    done = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
    return done.stdout.split()


def add(name: str) -> str:
    """Idempotent: a controller that runs is only awaited. Returns what was done."""
    if not_built := [program for module in modules(name) for program in build.missing(module)]:
        raise RuntimeError(f"not built yet: {', '.join(not_built)}; run 'lab build {name}'")
    extra = EXTRAS[name]
    if not hasattr(extra, "start"):
        return "nothing to start: a program to be called"
    if processes(name):
        extra.ready()
        return "is there already"
    _end(name)  # one that crashed has left its host
    net.add_host(name, extra.ADDRESS)
    try:
        extra.start()
        extra.ready()
    except BaseException:
        _end(name)
        raise
    return "added"


def remove(name: str) -> str:
    extra = EXTRAS[name]
    if not hasattr(extra, "start"):
        return "nothing to stop"
    _end(name)
    extra.clean()
    return "removed"


def _end(name: str) -> None:
    for sign, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
        if pids := processes(name):
            subprocess.run(["kill", f"-{sign.value}", *pids], capture_output=True, check=False)  # some may be gone
        try:
            await_(f"the end of {name}", lambda: not processes(name), seconds=seconds)
            break
        except TimeoutError:
            if sign is signal.SIGKILL:
                raise
    if name in net.hosts():
        net.delete_host(name)
