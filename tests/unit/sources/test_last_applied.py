# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fake_sources import BLUE, GREEN, files, judge, last_applied
from fake_sources import virtual_service as make


def test_the_annotation_tells():
    assert judge(make([BLUE, GREEN], annotations=last_applied([BLUE]))).green is False
    found = judge(make([BLUE, GREEN], annotations=last_applied(["mesh", GREEN])))
    assert (found.green, found.names(), found.puts_back) == (True, ["mesh", GREEN], "")


def test_an_annotation_that_can_not_be_read_is_unknown():
    for content in ("", "[", "[]"):
        found = judge(make(annotations={"kubectl.kubernetes.io/last-applied-configuration": content}))
        assert found.green is None and "can't be read" in found.desired.told_by


def test_the_override_keeps_what_was_applied_beside_blue():
    body = make([BLUE, GREEN, "mesh"], annotations=last_applied(["mesh", BLUE]))
    assert files(body)["kustomize/shop.web.yaml"] == [{"op": "add", "path": "/spec/gateways", "value": ["mesh", GREEN]}]


def test_one_component_for_all():
    bodies = [make([BLUE], ref, annotations=last_applied([BLUE], ref=ref)) for ref in ("a/x", "b/y.z")]
    made = files(bodies)
    assert [patch["path"] for patch in made["kustomize/kustomization.yaml"]["patches"]] == ["a.x.yaml", "b.y.z.yaml"]
    assert set(made) == {"kustomize/kustomization.yaml", "kustomize/a.x.yaml", "kustomize/b.y.z.yaml"}


def test_a_source_that_names_neither_gets_green_added():
    body = make([BLUE, GREEN], annotations=last_applied(["other/gw"]))
    assert files(body)["kustomize/shop.web.yaml"] == [
        {"op": "add", "path": "/spec/gateways", "value": ["other/gw", GREEN]}
    ]
