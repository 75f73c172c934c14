# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import ingress_class_istio as trap
from fake_mesh import mesh, only, thing

CLASS = ("ingress_classes", thing("IngressClass", "edge-class", {"controller": "istio.io/ingress-controller"}))


@pytest.mark.parametrize(
    ("ingress", "found"),
    [
        (thing("Ingress", "a/b", {"ingressClassName": "istio"}), True),
        (thing("Ingress", "a/b", annotations={"kubernetes.io/ingress.class": "istio"}), True),
        (thing("Ingress", "a/b", {"ingressClassName": "edge-class"}), True),
        (thing("Ingress", "a/b", {"ingressClassName": "nginx"}), False),
        (
            thing(
                "Ingress", "a/b", {"ingressClassName": "istio"}, annotations={"kubernetes.io/ingress.class": "nginx"}
            ),
            False,
        ),
        (thing("Ingress", "a/b"), False),
    ],
)
def test_class(ingress, found):
    inventory = mesh(CLASS, ("ingresses", ingress))
    assert bool(trap.check(inventory)) == found
    if found:
        assert only(trap, inventory).object == "Ingress a/b"
