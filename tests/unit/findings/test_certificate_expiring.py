# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import certificate_expiring as trap
from fake_mesh import gateway, mesh, only, tls_secret


def test_soon_is_a_warning_and_gone_is_an_error():
    soon = only(trap, mesh(("secrets", tls_secret("edge/cert", "*.test", days=5))))
    assert soon.severity == "warning" and soon.object == "Secret edge/cert" and "*.test" in soon.found
    gone = only(trap, mesh(("secrets", tls_secret("edge/cert", "*.test", days=-1))))
    assert gone.severity == "error" and "expired on" in gone.found


def test_greens_is_looked_at_as_well():
    green = ("secrets", tls_secret("gw/cert", "*.test", days=5))
    assert only(trap, mesh(("secrets", tls_secret("edge/cert", "*.test")), green)).object == "Secret gw/cert"


def test_time_enough_other_secrets_and_no_certificate_at_all_are_fine():
    assert trap.check(mesh(("secrets", tls_secret("edge/cert", "*.test", days=20)))) == []
    assert trap.check(mesh(("secrets", tls_secret("edge/unrelated", "*.test", days=5)))) == []
    assert trap.check(mesh()) == []
    assert trap.check(mesh(("gateways", gateway(mode="PASSTHROUGH")))) == []
