# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import local_rate_limit as trap
from fake_mesh import both, mesh, only, thing

HTTP = {"name": "envoy.filters.http.local_ratelimit", "typed_config": {"stat_prefix": "x"}}
ROUTE = {"typed_per_filter_config": {"envoy.filters.http.local_ratelimit": {"@type": "x"}}}
NETWORK = {"typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit"}}


def envoy_filter(value, ref="edge/limit", **spec):
    patches = [{"applyTo": "HTTP_FILTER"}, {"patch": {"operation": "MERGE", "value": value}}]
    return ("envoy_filters", thing("EnvoyFilter", ref, {"configPatches": patches, **spec}))


@pytest.mark.parametrize("value", [HTTP, ROUTE, NETWORK, {"filters": [NETWORK]}], ids=["http", "route", "network", "nested"])
def test_a_limit_at_each_of_blues_pods(value):
    finding = only(trap, mesh(envoy_filter(value)))
    assert finding.severity == "warning" and finding.object == "EnvoyFilter edge/limit"
    assert finding.field == "spec.configPatches[1].patch.value" and "twice as much in all" in finding.found


def test_greens_own_and_other_numbers_of_pods():
    sides = both({"replicas": 2}, {"replicas": 1})
    own = envoy_filter(HTTP, "gw/limit", workloadSelector={"labels": {"app": "new"}})
    assert "1.5 times as much while both serve, and 0.5 times on green alone" in only(trap, mesh(*sides, own)).found


def test_other_filters_and_other_pods_are_fine():
    assert trap.check(mesh(envoy_filter({"name": "envoy.filters.http.ratelimit"}))) == []
    assert trap.check(mesh(envoy_filter({"response_headers_to_add": [{"key": "x-local_ratelimit"}]}))) == []
    assert trap.check(mesh(envoy_filter(HTTP, "shop/limit"))) == []
    assert trap.check(mesh(envoy_filter(HTTP, workloadSelector={"labels": {"app": "other"}}))) == []
