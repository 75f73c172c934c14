# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy has in force after a share was set, and what is done when others change it.

The tests build on each other, in their order.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import subprocess
import time
import typing as t

import lab
import pytest

BACKENDS = ("passthrough_http", "passthrough_https")
OTHER = ("127.0.0.1", 9998)


def weights() -> dict[str, int]:
    return {name: weight for name, weight in lab.weights().items() if name.partition("/")[0] in BACKENDS}


def expected(blue: int, green: int) -> dict[str, int]:
    return {
        f"{backend}/{colour}-node-{n}": weight
        for backend in BACKENDS
        for colour, weight in (("blue", blue), ("green", green))
        for n in (1, 2)
    }


def run(tmp_path: pathlib.Path, **params: t.Any) -> dict[str, t.Any]:
    fixed = {"blue_servers": "^blue-", "green_servers": "^green-", "require_health": False, "backends": list(BACKENDS)}
    options = {**fixed, "runtime_apis": ["tcp:172.30.0.20:9999"], **params}
    return lab.run("haproxy_weights", tmp_path, cluster=False, **options)


def connections(tmp_path: pathlib.Path) -> dict[str, int]:
    """The connections that each server was given since HAProxy's start."""
    return {f"{server['backend']}/{server['server']}": server["stot"] for server in run(tmp_path)["backends"]}


def test_the_share_is_in_force() -> None:
    assert weights() == expected(90, 10)


def test_a_second_run_changes_nothing(tmp_path: pathlib.Path) -> None:
    again = run(tmp_path, green_percent=10, expect_green_percent=10)
    assert again["changed"] is False and again["weights_set"] == 0


def test_what_someone_else_set_is_noticed_and_left(tmp_path: pathlib.Path) -> None:
    lab.ask("set server passthrough_https/green-node-2 weight 77")
    refused = run(tmp_path, green_percent=50, expect_green_percent=10)
    assert refused["failed"] and refused["failure"]["code"] == "foreign_change"
    assert "backend passthrough_https" in refused["msg"] and "green-node-2=77" in refused["msg"]
    assert weights() == {**expected(90, 10), "passthrough_https/green-node-2": 77}
    assert run(tmp_path)["green_percent"] is None


def test_maintenance_is_left_alone(tmp_path: pathlib.Path) -> None:
    lab.ask("set server passthrough_http/green-node-1 state maint")
    try:
        result = run(tmp_path, green_percent=20)
        assert result["green_percent"] == 20 and result["changed"]
        states = {f"{s['backend']}/{s['server']}": s["admin"] for s in result["backends"]}
        assert [name for name, state in states.items() if state != "ready"] == ["passthrough_http/green-node-1"]
        assert states["passthrough_http/green-node-1"] == "maint"
    finally:
        lab.ask("set server passthrough_http/green-node-1 state ready")


def test_clients_are_served_by_blue_while_green_is_down(tmp_path: pathlib.Path) -> None:
    assert run(tmp_path, green_percent=50)["green_percent"] == 50
    before = connections(tmp_path)
    for _n in range(20):
        with socket.create_connection(("172.30.0.21", 443), 5):
            pass
    after = connections(tmp_path)
    # HAProxy counts since its start, in which green may have been there for other tests.
    new = {name: after[name] - before[name] for name in after}
    assert {name: count for name, count in new.items() if "/green-" in name and count} == {}
    assert sum(count for name, count in new.items() if "/blue-" in name) >= 20


@pytest.fixture
def other(tmp_path: pathlib.Path) -> t.Iterator[subprocess.Popen[bytes]]:
    """A second HAProxy before the same nodes, on this host, with the shares of the first."""
    lines = ["global", f"  stats socket ipv4@{OTHER[0]}:{OTHER[1]} level admin", "defaults", "  mode tcp"]
    lines += [f"  timeout {name} 10s" for name in ("connect", "client", "server")]
    for number, backend in enumerate(BACKENDS):
        lines += [f"frontend {backend}", f"  bind 127.0.0.1:{18080 + number}", f"  default_backend {backend}"]
        lines.append(f"backend {backend}")
        for colour, port in (("blue", 32080), ("green", 32081)):
            lines += [f"  server {colour}-node-{n} 172.30.0.{10 + n}:{port} weight 50" for n in (1, 2)]
    config = tmp_path / "haproxy.cfg"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program
    with subprocess.Popen([program, "-db", "-f", str(config)]) as process:
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    lab.ask("show info", OTHER)
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < deadline
                    time.sleep(0.05)
            yield process
        finally:
            process.kill()


def test_two_instances_have_one_share_or_keep_what_they_had(
    tmp_path: pathlib.Path, other: subprocess.Popen[bytes]
) -> None:
    both = {"runtime_apis": ["tcp:172.30.0.20:9999", f"tcp:{OTHER[0]}:{OTHER[1]}"]}
    moved = run(tmp_path, **both, green_percent=30, expect_green_percent=50)
    assert moved["changed"] and moved["green_percent"] == 30, moved
    assert weights() == lab.weights(OTHER) == expected(70, 30)
    lab.ask("set server passthrough_http/green-node-1 weight 5", OTHER)
    refused = run(tmp_path, **both, green_percent=50, expect_green_percent=30)
    assert refused["failure"]["code"] == "foreign_change" and OTHER[0] in refused["msg"], refused
    assert weights() == expected(70, 30)
    other.kill()
    other.wait(10)
    gone = run(tmp_path, **both, green_percent=50)
    assert gone["failed"] and f"{OTHER[0]}:{OTHER[1]}" in gone["msg"], gone
    assert weights() == expected(70, 30)
    assert run(tmp_path, green_percent=50)["changed"]


def test_back_to_blue(tmp_path: pathlib.Path) -> None:
    assert run(tmp_path, green_percent=0, expect_green_percent=50)["changed"]
    assert weights() == expected(100, 0)


def test_what_a_reload_took_is_set_again_and_what_somebody_took_is_not(tmp_path: pathlib.Path) -> None:
    """All weights are the configuration's. Whether a reload did that is told by the age of HAProxy's process."""
    again = {"green_percent": 50, "expect_green_percent": 50}
    refused = run(tmp_path, reloaded_since=time.time(), **again)
    assert refused["failure"]["code"] == "foreign_change" and weights() == expected(100, 0)
    result = run(tmp_path, reloaded_since=1, **again)
    assert result["reloaded"] == ["tcp:172.30.0.20:9999"] and weights() == expected(50, 50)
    assert run(tmp_path, green_percent=0)["changed"] and weights() == expected(100, 0)
