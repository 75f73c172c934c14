# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import network_policy_green as trap
from fake_mesh import mesh, only, service, thing


def policy(ref, labels=None, **spec):
    selector = {"matchLabels": labels} if labels else {}
    return ("network_policies", thing("NetworkPolicy", ref, {"podSelector": selector, **spec}))


DENY = policy("gw/deny", policyTypes=["Ingress"])
PORT = [{"protocol": "TCP", "port": 8443}]


def test_a_default_deny_that_blue_does_not_have():
    finding = only(trap, mesh(DENY))
    assert finding.severity == "error" and finding.object == "NetworkPolicy gw/deny" and finding.field == "spec.ingress"
    assert "no policy, so all is allowed" in finding.found


def test_each_direction_by_itself():
    egress = policy("gw/deny", policyTypes=["Ingress", "Egress"], ingress=[{}])
    assert only(trap, mesh(egress)).field == "spec.egress"


def test_blues_rules_have_to_be_greens():
    blue = policy("edge/in", {"app": "old"}, ingress=[{"ports": PORT}, {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}])
    assert "2 of 2 rules" in only(trap, mesh(blue, DENY)).found
    half = policy("gw/in", {"app": "new"}, ingress=[{"ports": PORT}])
    assert "1 of 2 rules" in only(trap, mesh(blue, DENY, half)).found
    assert trap.check(mesh(blue, DENY, policy("gw/in", {"app": "new"}, ingress=blue[1]["spec"]["ingress"]))) == []
    assert trap.check(mesh(blue, DENY, policy("gw/all", ingress=[{}]))) == []


def test_a_port_is_wanted_as_it_is_on_green():
    blue = policy("edge/in", {"app": "old"}, ingress=[{"ports": PORT}])
    green = ("services", service("gw/new", {"app": "new"}, ports=[{"name": "https", "port": 443}]))
    same = policy("gw/in", {"app": "new"}, ingress=[{"ports": PORT}])
    mapped = policy("gw/in", {"app": "new"}, ingress=[{"ports": [{"port": 443}]}])
    assert trap.check(mesh(blue, same)) == []
    assert only(trap, mesh(blue, green, same)).object == "NetworkPolicy gw/in"
    assert trap.check(mesh(blue, green, mapped)) == []


def test_policies_for_other_pods_are_fine():
    assert trap.check(mesh(policy("gw/deny", {"app": "else"}), policy("shop/deny"))) == []
