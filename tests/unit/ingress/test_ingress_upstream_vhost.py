# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import convert, ingress, routes, status


@pytest.mark.parametrize(
    ("written", "sent"), [("inner.test", "inner.test"), ("$service_name.$namespace.svc", "web.team.svc")]
)
def test_the_backend_is_asked_for_that_name(written, sent):
    result = convert(ingress(notes={"upstream-vhost": written}))
    assert routes(result)[0]["rewrite"] == {"authority": sent} and status(result, "upstream-vhost") == "translated"


def test_beside_a_rewrite_both_count():
    result = convert(
        ingress(
            paths=[("/a(.*)", "ImplementationSpecific", "web")],
            notes={"upstream-vhost": "x.test", "rewrite-target": "/$1"},
        )
    )
    assert set(routes(result)[0]["rewrite"]) == {"authority", "uriRegexRewrite"}


def test_a_variable_of_the_request_is_refused():
    assert status(convert(ingress(notes={"upstream-vhost": "$http_x"})), "upstream-vhost") == "not_translated"
