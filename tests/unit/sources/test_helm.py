# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fake_sources import BLUE, GREEN, Known, applied, files, in_release, judge, last_applied, record_secret, text
from fake_sources import virtual_service as make

VALUES = {"istio": {"shop": {"gateways": [BLUE]}}, "password": "hunter2"}


def shop(gateways=(BLUE, GREEN), **more):
    return make(gateways, annotations=in_release(), **more)


def test_the_manifest_of_the_release_tells():
    found = judge(shop(), Known(releases=[record_secret(bodies=[make([BLUE])])]))
    assert (found.names(), found.green, found.puts_back, found.fights) == ([BLUE], False, "", "")
    assert found.desired.told_by == "Secret team/sh.helm.release.v1.shop.v3, revision 3 (deployed)"
    assert judge(shop(), Known(releases=[record_secret(bodies=[make([GREEN])])])).green is True


def test_match_level_lists_of_the_manifest_count():
    known = Known(releases=[record_secret(bodies=[make([GREEN], match=[BLUE])])])
    assert judge(shop(match=[BLUE, GREEN]), known).green is False


def test_server_side_apply_is_told():
    known = Known(releases=[record_secret(bodies=[make([BLUE])], apply_method="ssa")])
    assert "applied server-side" in judge(shop(), known).desired.told_by
    known = Known(releases=[record_secret(bodies=[make([BLUE])])])
    assert "applied server-side" in judge(shop(managedFields=applied()), known).desired.told_by


def test_what_is_not_known_is_unknown():
    for known, why in (
        (Known(), "no record of Helm release team/shop"),
        (Known(releases=[record_secret()]), "does not have it"),
        (Known(releases=[record_secret(manifest="a: [")]), "does not have it"),
        (Known(releases=[record_secret(manifest="web: [")]), "can't be read"),
        (Known(denied=["helm"]), "helm may not be read"),
    ):
        found = judge(shop(), known)
        assert found.green is None and found.names() is None and why in found.desired.told_by


def test_values_that_name_blue_are_overridden_where_they_are():
    known = Known(releases=[record_secret(bodies=[make([BLUE])], values=VALUES)])
    assert files(shop(), known) == {"helm/team.shop.yaml": {"istio": {"shop": {"gateways": [GREEN]}}}}
    assert "at istio.shop.gateways" in text(shop(), known) and "hunter2" not in text(shop(), known)


def test_given_values_win_over_those_of_the_chart():
    known = Known(
        releases=[record_secret(bodies=[make([BLUE])], values=VALUES, config={"gateway": BLUE, "istio": None})]
    )
    assert files(shop(), known) == {"helm/team.shop.yaml": {"gateway": GREEN}}


def test_values_that_do_not_name_it_need_a_post_renderer():
    known = Known(releases=[record_secret(bodies=[make([BLUE], match=[BLUE])])])
    made = files(shop(match=[BLUE, GREEN]), known)
    assert made["kustomize/shop.web.yaml"] == [
        {"op": "add", "path": "/spec/gateways", "value": [GREEN]},
        {"op": "add", "path": "/spec/http/0/match/0/gateways", "value": [GREEN]},
    ]
    target = {"group": "networking.istio.io", "kind": "VirtualService", "name": "web", "namespace": "shop"}
    assert made["kustomize/kustomization.yaml"] == {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component",
        "patches": [{"path": "shop.web.yaml", "target": target}],
    }  # fmt: skip
    assert "post-renderer" in text(shop(match=[BLUE, GREEN]), known)


def test_what_is_green_needs_no_file():
    assert files(shop(), Known(releases=[record_secret(bodies=[make([GREEN])], values=VALUES)])) == {}


def test_another_source_beside_it_is_judged_too():
    from ansible_collections.bluegreen.mesh.plugins.module_utils import _desired
    from fake_sources import PAIRS

    body = make([BLUE, GREEN], annotations={**in_release(), **last_applied([GREEN])})
    known = Known(releases=[record_secret(bodies=[make([BLUE])])])
    assert [(j.source.id, j.green) for j in _desired.judge([body], PAIRS, known)] == [
        ("helm:team/shop", False), ("last_applied", True),
    ]  # fmt: skip
