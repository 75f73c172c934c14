# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils.findings import ingress_class_istio as trap
from fake_mesh import mesh, only, pod, thing

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


# -- as istiod's configuration says ------------------------------------------------------------------------------------
BLUE = ("pods", pod("edge/old-1", {"app": "old", "istio": "ingressgateway"}))
NAMED = ("ingresses", thing("Ingress", "a/b", annotations={"kubernetes.io/ingress.class": "istio"}))
OF_CLASS = ("ingresses", thing("Ingress", "a/b", {"ingressClassName": "edge-class"}))
BARE = ("ingresses", thing("Ingress", "a/b"))
OTHERS = ("ingresses", thing("Ingress", "a/b", {"ingressClassName": "nginx"}))
NGINX = ("ingress_classes", thing("IngressClass", "nginx", {"controller": "k8s.io/ingress-nginx"}))


def config(text, name="istio"):
    return ("mesh_configs", {**thing("ConfigMap", f"istio-system/{name}"), "data": {"mesh": text}})


@pytest.mark.parametrize(
    ("text", "ingress", "found"),
    [
        ("{}", NAMED, True),
        ("{}", OF_CLASS, True),
        ("{}", BARE, False),
        ("{}", ("ingresses", thing("Ingress", "a/b", {"ingressClassName": "istio"})), False),  # no such IngressClass
        ("ingressClass: public", NAMED, False),
        ("ingressClass: istio", NAMED, True),
        ("ingressClass: public", OF_CLASS, True),  # which goes by the controller
        ("ingressControllerMode: STRICT", BARE, False),
        ("ingressControllerMode: DEFAULT", BARE, True),
        ("ingressControllerMode: DEFAULT", NAMED, True),
        ("ingressControllerMode: DEFAULT", OTHERS, False),
        ("ingressControllerMode: OFF", NAMED, False),
        ("ingressControllerMode: 'OFF'", OF_CLASS, False),
    ],
)
def test_which_are_istiods(text, ingress, found):
    assert [f.object for f in trap.check(mesh(CLASS, NGINX, BLUE, ingress, config(text)))] == ["Ingress a/b"] * found


def test_a_renamed_class_counts():
    renamed = ("ingresses", thing("Ingress", "a/b", annotations={"kubernetes.io/ingress.class": "public"}))
    finding = only(trap, mesh(BLUE, renamed, config("ingressClass: public")))
    assert finding.field == "metadata.annotations[kubernetes.io/ingress.class]" and "class public" in finding.found
    assert "istio: ingressgateway (ConfigMap istio-system/istio), as are blue's (main)" in finding.found
    assert trap.check(mesh(BLUE, renamed, config("{}"))) == []


@pytest.mark.parametrize(
    ("text", "label", "found"),
    [
        ("{}", "ingressgateway", True),
        ("{}", "public", False),
        ("ingressSelector: public", "public", True),
        ("ingressSelector: public", "ingressgateway", False),
        ("ingressService: public", "public", True),
        ("ingressService: istio-ingressgateway", "ingressgateway", True),
        ("ingressService: ''", "ingressgateway", True),
        ("{ingressSelector: internal, ingressService: public}", "public", False),
    ],
)
def test_the_pods_that_serve_them(text, label, found):
    blue = ("pods", pod("edge/old-1", {"app": "old", "istio": label}))
    assert bool(trap.check(mesh(blue, NAMED, config(text)))) == found


def test_one_revision_that_serves_it_is_enough():
    off, canary = config("ingressControllerMode: OFF"), config("{}", "istio-canary")
    assert "istio-system/istio-canary" in only(trap, mesh(BLUE, NAMED, off, canary)).found
    assert "istio-system/istio)" in only(trap, mesh(BLUE, NAMED, config("{}"), canary)).found


def test_classes_that_may_not_be_listed_are_not_taken_for_none():
    default = config("ingressControllerMode: DEFAULT")
    assert only(trap, mesh(BLUE, OTHERS, default)).field == "spec.ingressClassName"  # no IngressClass has that name
    unread = ["ingress_classes"]
    assert trap.check(mesh(BLUE, OTHERS, default, unread=unread)) == []
    assert only(trap, mesh(BLUE, BARE, default, unread=unread)).found.startswith("an Ingress without a class")
