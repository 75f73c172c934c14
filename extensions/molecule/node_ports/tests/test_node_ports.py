# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server makes of node ports that are set, swapped and given back. The tests build on each other."""

from __future__ import annotations

import pathlib
import typing as t

import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of


def run(tmp_path: pathlib.Path, name: str = "green", **params: t.Any) -> dict[str, t.Any]:
    return lab.run("service_node_ports", tmp_path, namespace="mesh-ports", name=name, **params)


def service(cluster: Cluster, name: str = "green") -> dict[str, t.Any]:
    return cluster.get(path_of("v1", "services", "mesh-ports", name))


def ports(cluster: Cluster, name: str = "green") -> dict[str, int]:
    return {port["name"]: port["nodePort"] for port in service(cluster, name)["spec"]["ports"]}


def test_they_are_set(cluster: Cluster) -> None:
    assert ports(cluster) == {"http2": 30031, "https": 30032}


def test_two_ports_change_places_and_nothing_else_is_touched(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    before = service(cluster)
    assert run(tmp_path, node_ports={"http2": 30032, "https": 30031})["changed"]
    assert ports(cluster) == {"http2": 30032, "https": 30031}
    after = service(cluster)
    for body in (before, after):
        for port in body["spec"]["ports"]:
            del port["nodePort"]
    assert after["spec"] == before["spec"]


def test_a_port_that_is_given_up_is_free(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    assert run(tmp_path, node_ports={"http2": 30033})["changed"]
    assert run(tmp_path, name="balanced", node_ports={"http2": 30032})["changed"]
    taken = run(tmp_path, node_ports={"http2": 30032})
    assert taken["failed"] and taken["failure"]["used_by"] == {
        "namespace": "mesh-ports",
        "name": "balanced",
        "port": "http2",
    }
    assert ports(cluster)["http2"] == 30033


def test_the_health_check_port_of_another_service_is_taken(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    health = service(cluster, "balanced")["spec"]["healthCheckNodePort"]
    taken = run(tmp_path, node_ports={"http2": health})
    assert taken["failed"] and taken["failure"]["used_by"]["port"] == "healthCheckNodePort"
    same = run(tmp_path, name="balanced", health_check_node_port=health)
    assert same["changed"] is False and same["health_check_node_port"] == health
    other = run(tmp_path, name="balanced", health_check_node_port=30034)
    assert other["failed"] and other["failure"]["code"] == "health_check"


def test_a_service_that_changes_in_between_is_read_again(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    stale = service(cluster)
    cluster.patch(path_of("v1", "services", "mesh-ports", "green"), {"metadata": {"labels": {"touched": "yes"}}})
    patch = [{"op": "replace", "path": "/metadata/resourceVersion", "value": stale["metadata"]["resourceVersion"]}]
    with pytest.raises(Exception, match="409 Conflict"):  # what the module relies on
        cluster.patch(path_of("v1", "services", "mesh-ports", "green"), patch, kind="json")
    assert run(tmp_path, node_ports={"http2": 30035})["changed"]
    assert service(cluster)["metadata"]["labels"]["touched"] == "yes"
