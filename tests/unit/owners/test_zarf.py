# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.owners import zarf
from fake_blue import blue, info, kept


def package(data, name="platform"):
    text = data if isinstance(data, str) else json.dumps(data)
    meta = {"name": f"zarf-package-{name}", "namespace": zarf.NAMESPACE, "labels": {zarf.LABEL: name}}
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": meta,
        "data": {"data": base64.b64encode(text.encode()).decode()},
    }  # fmt: skip


def of(namespace="istio-system", chart="blue"):
    charts = [{"namespace": namespace, "chartName": chart}]
    return {"name": "platform", "deployedComponents": [{"name": "mesh", "installedCharts": charts}, {"name": "none"}]}


def doomed(cluster):
    return [e["name"] for e in info(cluster, gateways=["istio-system/public"])["would_delete"]]


def test_a_package_removes_by_way_of_helm():
    cluster = blue(package(of()))
    assert doomed(cluster) == ["Helm release istio-system/blue", "Zarf package platform"]
    result = kept(cluster)
    assert [claim["owner"] for claim in result["protected"][0]["claims"]] == ["helm", "zarf"]
    assert doomed(cluster) == []


@pytest.mark.parametrize(
    "data", [of("elsewhere"), of(chart="other"), "{", "[]", {"deployedComponents": [{"installedCharts": [1]}]}]
)
def test_other_packages(data):
    assert doomed(blue(package(data))) == ["Helm release istio-system/blue"]
