# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import codes, convert, ingress, status


@pytest.mark.parametrize(
    "notes",
    [
        {"auth-url": "https://auth.test/", "auth-signin": "https://auth.test/start", "auth-response-headers": "X-User"},
        {"auth-type": "basic", "auth-secret": "users", "auth-realm": "Shop"},
        {"auth-tls-secret": "team/ca", "auth-tls-verify-client": "on"},
        {"limit-rps": "5"},
        {"enable-modsecurity": "true"},
        {"enable-global-auth": "true"},
    ],
)
def test_what_keeps_people_out_is_never_lost_in_silence(notes):
    result = convert(ingress(notes=notes))
    assert {status(result, name) for name in notes} == {"not_translated"} and "annotation_protection" in codes(
        result, "error"
    )
    standing, waived, unused = result.split(["annotation_protection:team/shop"])
    assert waived and not unused and "annotation_protection" not in {f.code for f in standing}


@pytest.mark.parametrize(
    "notes",
    [
        {"auth-signin": "x"},
        {"auth-realm": "x"},
        {"limit-rps": "0"},
        {"enable-modsecurity": "false"},
        {"enable-global-auth": "false"},
    ],
)
def test_what_does_nothing_is_not_needed(notes):
    assert {status(convert(ingress(notes=notes)), name) for name in notes} == {"not_needed"}
