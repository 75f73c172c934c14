# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import answer, backend, convert, ingress, only, status


def test_more_names_for_one_host_with_its_certificate():
    result = convert(ingress(notes={"server-alias": "b.test, A.test"}, tls="cert"))
    assert only(result, "VirtualService")["spec"]["hosts"] == ["shop.example.com", "a.test", "b.test"]
    assert all("a.test" in server["hosts"] for server in only(result, "Gateway")["spec"]["servers"])
    assert backend(answer(result, "a.test")) == "team/web" and status(result, "server-alias") == "translated"


def test_a_name_that_has_an_ingress_is_not_an_alias():
    result = convert(
        ingress("one", notes={"server-alias": "other.test"}),
        ingress("two", [("/", "Prefix", "two")], host="other.test"),
    )
    assert backend(answer(result, "other.test", scheme="http")) == "team/two"


@pytest.mark.parametrize("alias", ["~^x", "*.a.test", "intranet", "a_b.test", "https://a.test"])
def test_what_is_no_name_is_refused(alias):
    assert status(convert(ingress(notes={"server-alias": alias})), "server-alias") == "not_translated"
