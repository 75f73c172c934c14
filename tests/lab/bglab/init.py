"""The lab's first process: PID 1 of its PID namespace. It starts everything, then reaps what ends.

When it ends, the kernel ends every other process of the namespace and frees the network namespaces with them.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback

from . import balancer, blue, control_plane, net
from . import settings as s
from .proc import await_, progress, start


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # PID 1 has no default handlers
    os.makedirs("/run/netns", exist_ok=True)
    os.symlink(s.CACHE, s.SHORT)
    try:
        boot()
    except BaseException as exc:
        traceback.print_exc()
        progress(f"FAILED {type(exc).__name__}: {exc}")
        os._exit(1)
    progress("READY")
    while True:  # orphans of pods and of the operator's shells are reparented to us
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(1)


def boot() -> None:
    begin = time.monotonic()

    def step(text: str) -> None:
        progress(f"{time.monotonic() - begin:5.1f} s  {text}")

    step("network: control plane, two nodes, balancer, operator")
    net.build()
    step("etcd and kube-apiserver")
    control_plane.etcd()
    control_plane.api_server()
    step("kube-controller-manager, two nodes with kube-proxy")
    control_plane.controller_manager()
    control_plane.nodes(control_plane.Api())
    start("podrunner", [sys.executable, "-m", "bglab", "podrunner"])
    if not s.BARE:
        step("Istio's base chart and istiod")
        blue.base()
        control_plane.istiod()
    step("HAProxy")
    config = s.STATE / "haproxy.cfg"
    config.write_text(balancer.config())
    haproxy = start("haproxy", ["haproxy", "-db", "-f", str(config)], netns="balancer")
    await_("haproxy", lambda: os.path.exists("/run/haproxy.sock"), haproxy)
    step("the applications" if s.BARE else "blue and its applications")
    blue.applications()
    if not s.BARE:
        await_("blue's servers at the balancer", balancer.blue_is_up, haproxy)
    step("up")
