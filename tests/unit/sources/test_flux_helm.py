# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import yaml
from fake_sources import BLUE, GREEN, Known, files, in_release, judge, record_secret, text, thing
from fake_sources import virtual_service as make

DOMAIN = "helm.toolkit.fluxcd.io"
LABELS = {f"{DOMAIN}/name": "shop", f"{DOMAIN}/namespace": "bigbang"}
VALUES = {"istio": {"shop": {"gateways": [BLUE]}}}
MINE = {"kind": "VirtualService"}


def made(gateways=(BLUE, GREEN), **more):
    return make(gateways, labels=LABELS, annotations={**in_release("shop/shop"), **more})


def known(spec=None, desired=BLUE, values=None, umbrella=None, name="bigbang/shop", **more):
    own = {"annotations": in_release("bigbang/bigbang")} if umbrella is not None else {}
    releases = [record_secret("shop/shop", [make([desired])], values=values)]
    if umbrella is not None:
        releases.append(record_secret("bigbang/bigbang", values=umbrella, **{"chart": "bigbang", **more}))
    return Known(thing(f"{DOMAIN}/v2", "HelmRelease", name, spec, **own), releases=releases)


def test_the_record_of_its_release_tells():
    assert judge(made(), known()).green is False
    assert judge(made(), known(desired=GREEN)).green is True
    assert judge(make([BLUE], labels=LABELS), known()).green is None


@pytest.mark.parametrize(
    ("spec", "corrects"),
    [
        ({}, False),
        ({"driftDetection": {"mode": "warn"}}, False),
        ({"driftDetection": {"mode": "enabled"}}, True),
        ({"driftDetection": {"mode": "enabled"}, "suspend": True}, False),
        ({"driftDetection": {"mode": "enabled", "ignore": [{"paths": ["/spec/gateways"], "target": MINE}]}}, False),
        ({"driftDetection": {"mode": "enabled", "ignore": [{"paths": ["/spec/hosts"], "target": MINE}]}}, True),
        (
            {"driftDetection": {"mode": "enabled", "ignore": [{"paths": ["/spec"], "target": {"kind": "Service"}}]}},
            True,
        ),
        ({"driftDetection": {"mode": "enabled", "ignore": [{"paths": ["/spec"]}]}}, False),
        ({"driftDetection": {"mode": "enabled", "ignore": [{"paths": [""], "target": {"name": "we.*"}}]}}, False),
        (
            {"driftDetection": {"mode": "enabled", "ignore": [{"paths": [""], "target": {"labelSelector": "a=b"}}]}},
            True,
        ),
    ],
)
def test_drift_detection_puts_back(spec, corrects):
    found = judge(made(), known(spec))
    assert bool(found.puts_back) is corrects and found.fights == ""


def test_drift_detection_that_is_off_for_the_object():
    off = {f"{DOMAIN}/driftDetection": "disabled"}
    assert judge(made(**off), known({"driftDetection": {"mode": "enabled"}})).puts_back == ""


def test_one_that_is_elsewhere_is_not_known_to_be_harmless():
    found = judge(made(), known(name="other/shop"))
    assert "not in this cluster" in found.puts_back and found.green is False


def test_a_release_gets_values_or_a_post_renderer():
    assert files(made(), known(values=VALUES)) == {
        "flux/HelmRelease.bigbang.shop.yaml": {
            "apiVersion": f"{DOMAIN}/v2", "kind": "HelmRelease", "metadata": {"name": "shop", "namespace": "bigbang"},
            "spec": {"values": {"istio": {"shop": {"gateways": [GREEN]}}}},
        }
    }  # fmt: skip
    (patch,) = files(made(), known({"postRenderers": [{}]}))["flux/HelmRelease.bigbang.shop.yaml"]
    assert patch["path"] == "/spec/postRenderers/-"
    (inner,) = patch["value"]["kustomize"]["patches"]
    assert yaml.safe_load(inner["patch"]) == [{"op": "add", "path": "/spec/gateways", "value": [GREEN]}]


@pytest.mark.parametrize(
    ("umbrella", "key"),
    [({"shop": {}}, ("shop",)), ({"addons": {"shop": {}}}, ("addons", "shop")), ({"sHop": {}}, ("sHop",))],
)
def test_a_package_of_big_bang_gets_its_values(umbrella, key):
    content = files(made(), known(values=VALUES, umbrella=umbrella))["bigbang/bigbang.shop.yaml"]
    for part in key:
        content = content[part]
    assert content == {"values": {"istio": {"shop": {"gateways": [GREEN]}}}}
    content = files(made(), known(umbrella=umbrella))["bigbang/bigbang.shop.yaml"]
    for part in key:
        content = content[part]
    assert list(content) == ["postRenderers"]


def test_what_another_chart_makes_gets_the_general_form():
    for umbrella in (
        known(values=VALUES, umbrella={"other": {}}),
        known(values=VALUES, umbrella={"shop": {}}, chart="x"),
    ):
        assert list(files(made(), umbrella)) == ["flux/HelmRelease.bigbang.shop.yaml"]
        assert "made by Helm release bigbang/bigbang" in text(made(), umbrella)
