# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fake_sources import BLUE, GREEN, applied, files, judge
from fake_sources import virtual_service as make


def test_what_somebody_applies_is_unknown():
    found = judge(make([BLUE, GREEN], managedFields=applied("pipeline")))
    assert found.green is None and found.puts_back == "" and "only pipeline knows" in found.desired.told_by


def test_the_override_is_made_from_what_is_there():
    body = make([BLUE, GREEN], match=[BLUE], managedFields=applied("pipeline"))
    assert files(body)["kustomize/shop.web.yaml"] == [
        {"op": "add", "path": "/spec/gateways", "value": [GREEN]},
        {"op": "add", "path": "/spec/http/0/match/0/gateways", "value": [GREEN]},
    ]


def test_what_is_green_by_itself_is_left_alone():
    assert files(make([GREEN], managedFields=applied("pipeline"))) == {}
