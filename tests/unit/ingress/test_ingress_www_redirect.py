# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import answer, convert, ingress, only, status


@pytest.mark.parametrize(("host", "other"), [("shop.test", "www.shop.test"), ("www.shop.test", "shop.test")])
def test_the_other_name_is_redirected(host, other):
    result = convert(ingress(host=host, tls="cert", notes={"from-to-www-redirect": "true"}))
    for scheme in ("http", "https"):
        assert answer(result, other, "/x", scheme)["redirect"] == {"authority": host, "redirectCode": 308}
    assert answer(result, host)["route"] and status(result, "from-to-www-redirect") == "translated"


def test_not_where_it_has_an_ingress_or_for_wildcards():
    both = convert(ingress("a", host="x.test", notes={"from-to-www-redirect": "true"}), ingress("b", host="www.x.test"))
    assert answer(both, "www.x.test", scheme="http")["route"] and status(both, "from-to-www-redirect") == "not_needed"
    assert only(convert(ingress(host="*.x.test", notes={"from-to-www-redirect": "true"})), "VirtualService")["spec"][
        "hosts"
    ] == ["*.x.test"]
