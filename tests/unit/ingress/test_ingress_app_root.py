# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import answer, backend, convert, ingress, status

HOST = "shop.example.com"


@pytest.mark.parametrize("tls", [None, "cert"])
@pytest.mark.parametrize("more", [(), (("/", "Exact", "root"),)])
def test_the_root_is_redirected_before_all_else(tls, more):
    result = convert(ingress(paths=[("/app", "Prefix", "app"), *more], notes={"app-root": "/app"}, tls=tls))
    for scheme in ("http", "https") if tls else ("http",):
        assert answer(result, HOST, "/", scheme)["redirect"] == {"uri": "/app", "redirectCode": 302}
    assert backend(answer(result, HOST, "/app/x", "https" if tls else "http")) == "team/app"
    assert status(result, "app-root") == "translated"


def test_also_where_paths_are_regular_expressions():
    result = convert(
        ingress(paths=[("/.*", "ImplementationSpecific", "app")], notes={"app-root": "/app", "use-regex": "true"})
    )
    assert (
        answer(result, HOST, "/", "http")["redirect"]["uri"] == "/app" and answer(result, HOST, "/x", "http")["route"]
    )


def test_what_is_no_path_is_refused():
    assert status(convert(ingress(notes={"app-root": "app"})), "app-root") == "not_translated"
