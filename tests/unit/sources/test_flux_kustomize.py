# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import yaml
from fake_sources import BLUE, GREEN, Known, files, judge, thing
from fake_sources import virtual_service as make

LABELS = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux"}
TARGET = {"group": "networking.istio.io", "kind": "VirtualService", "name": "web", "namespace": "shop"}


def made(gateways=(BLUE, GREEN), **more):
    return make(gateways, labels=LABELS, **more)


def kustomization(**spec):
    return Known(thing("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "flux/apps", spec))


def test_it_puts_back_what_others_set_and_nobody_knows_what():
    found = judge(made(), kustomization(interval="10m"))
    assert found.green is None and "at every interval" in found.puts_back and found.fights == ""


@pytest.mark.parametrize(
    ("spec", "annotations"),
    [
        ({"suspend": True}, {}),
        ({}, {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}),
        ({}, {"kustomize.toolkit.fluxcd.io/ssa": "Ignore"}),
    ],
)
def test_unless_it_is_kept_off(spec, annotations):
    assert judge(made(annotations=annotations), kustomization(**spec)).puts_back == ""


def test_its_own_patches_tell():
    for side, green in ((GREEN, True), (BLUE, False)):
        patch = {"target": TARGET, "patch": f"- {{op: replace, path: /spec/gateways, value: [{side}]}}"}
        found = judge(made(), kustomization(patches=[patch]))
        assert (found.green, found.names()) == (green, [side])


def test_one_that_is_elsewhere_or_denied_is_not_known_to_be_harmless():
    found = judge(made(), Known())
    assert found.green is None and "not in this cluster" in found.puts_back
    found = judge(made(), Known(denied=["kustomize.toolkit.fluxcd.io"]))
    assert found.green is None and "may not be read" in found.puts_back


def test_the_override_adds_a_patch_to_it_and_repeats_none():
    body = made(match=[BLUE, GREEN])
    (first,) = files(body, kustomization())["flux/Kustomization.flux.apps.yaml"]
    assert (first["op"], first["path"]) == ("add", "/spec/patches") and first["value"][0]["target"] == TARGET
    assert yaml.safe_load(first["value"][0]["patch"])[1]["value"] == [GREEN]
    secret = {"patch": "password: hunter2"}
    (second,) = files(body, kustomization(patches=[secret]))["flux/Kustomization.flux.apps.yaml"]
    assert second["path"] == "/spec/patches/-" and second["value"] == first["value"][0]
    # what it makes of the Kustomization is what we understand as green
    assert judge(body, kustomization(patches=first["value"])).green is True
