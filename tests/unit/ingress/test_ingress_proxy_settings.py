# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fake_ingresses import codes, convert, ingress, status


def test_what_is_not_needed_and_what_is_lost():
    notes = {
        "proxy-buffering": "on",
        "service-upstream": "true",
        "custom-http-errors": "404",
        "enable-access-log": "false",
        "custom-headers": "team/x",
    }
    result = convert(ingress(notes=notes))
    assert [status(result, name) for name in notes] == ["not_needed", "not_needed", *["not_translated"] * 3]
    assert "annotation_proxy_setting" in codes(result, "warning") & codes(result, "error")
