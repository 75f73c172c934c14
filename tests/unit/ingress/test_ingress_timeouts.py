# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fake_ingresses import codes, convert, ingress, made, only, routes, status


def test_the_longer_one_is_for_the_whole_answer_and_that_is_said():
    result = convert(ingress(notes={"proxy-read-timeout": "120", "proxy-send-timeout": "30s"}))
    assert routes(result)[0]["timeout"] == "120s" and "timeout_is_total" in codes(result, "warning")
    assert status(result, "proxy-read-timeout") == status(result, "proxy-send-timeout") == "translated"


def test_the_one_for_connecting_is_the_services():
    result = convert(ingress(notes={"proxy-connect-timeout": "5"}))
    rule = only(result, "DestinationRule")["spec"]
    assert rule["host"] == "web.team.svc.cluster.local" and rule["exportTo"] == ["edge"]
    assert rule["trafficPolicy"] == {
        "portLevelSettings": [{"port": {"number": 80}, "connectionPool": {"tcp": {"connectTimeout": "5s"}}}]
    }
    assert "timeout" not in routes(result)[0]


def test_nothing_is_written_where_nothing_is_asked_for():
    result = convert(ingress(notes={"proxy-read-timeout": "soon"}))
    assert "timeout" not in routes(result)[0] and not made(result, "DestinationRule")
    assert status(result, "proxy-read-timeout") == "not_needed"
