# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_sources import BLUE, GREEN, Known, files, judge, thing
from fake_sources import virtual_service as make

OWNER = {"apiVersion": "apps.test/v1", "kind": "App", "name": "x", "controller": True}


def owned(gateways=(BLUE, GREEN)):
    return make(gateways, ownerReferences=[OWNER])


def app(spec):
    return Known(thing("apps.test/v1", "App", "shop/x", spec))


@pytest.mark.parametrize(
    ("spec", "green", "told"),
    [
        ({"route": {"gateway": BLUE}}, False, "App shop/x at spec.route.gateway"),
        ({"route": {"gateways": [GREEN]}}, True, "App shop/x at spec.route.gateways"),
        ({"route": {"gateways": [BLUE, GREEN]}}, True, "spec.route.gateways"),
        ({"port": 80}, None, "its controller decides"),
    ],
)
def test_the_owner_tells_if_it_names_gateways(spec, green, told):
    found = judge(owned(), app(spec))
    assert found.green is green and told in found.desired.told_by
    assert "nobody but the controller of App shop/x knows" in found.puts_back


def test_an_owner_that_is_gone_or_denied_is_unknown():
    assert "App shop/x is not there" in judge(owned(), Known()).desired.told_by
    assert "App may not be read" in judge(owned(), Known(denied=["App"])).desired.told_by


def test_the_owner_is_patched_where_it_names_blue():
    made = files(owned(), app({"route": {"gateway": BLUE}, "token": "hunter2"}))
    assert made == {
        "controller/App.shop.x.yaml": {
            "apiVersion": "apps.test/v1", "kind": "App", "metadata": {"name": "x", "namespace": "shop"},
            "spec": {"route": {"gateway": GREEN}},
        }
    }  # fmt: skip
    assert files(owned(), app({"port": 80})) == files(owned(), Known()) == {}
