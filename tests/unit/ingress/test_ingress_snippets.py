# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

from fake_ingresses import codes, convert, ingress, status


def test_it_is_refused_and_never_shown():
    result = convert(
        ingress(notes={"configuration-snippet": "proxy_set_header X-Key hunter2;\nreturn 403;", "server-snippet": ""})
    )
    assert status(result, "configuration-snippet") == "not_translated" and "annotation_snippet" in codes(
        result, "error"
    )
    assert status(result, "server-snippet") == "not_needed"
    assert "hunter2" not in json.dumps([result.report, result.objects, [f.found + f.fix for f in result.findings]])
