# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of each format as their programs write them, and what clients may put into them."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _access_log
from ansible_collections.bluegreen.mesh.plugins.module_utils.access_logs import FORMATS
from ansible_collections.bluegreen.mesh.plugins.module_utils.access_logs.record import NOT_HTTP, Record
from hypothesis import given
from hypothesis import strategies as st

ENVOY = (
    '[2026-11-21T10:00:00.123Z] "GET /a?b=c HTTP/1.1" 200 - 0 12 3 2 "-" "curl/8" "0b-1" "shop.test:8443" "10.0.0.1:80"'
)
ISTIO = (
    '[2026-11-21T10:00:00.123Z] "{request}" {status} - via_upstream - "-" 0 12 3 2 "{forwarded}" "{agent}" "0b-1" '
    '"{authority}" "10.244.1.9:8080" outbound|80||app.team-a.svc.cluster.local 10.244.1.7:40000 10.244.1.7:8443 '
    "172.30.0.20:50000 {sni} {route}\n"
)
HAPROXY = (
    "Nov 21 10:00:00 lb haproxy[14]: 10.0.1.2:33317 [21/Nov/2026:10:00:00.655] {frontend} web/srv1 10/0/30/69/109 200"
    ' 2750 - - ---- 1/1/1/1/0 0/0{captured} "{request}"'
)


def istio(**changes):
    fields = {
        "request": "GET /a?b=c HTTP/2", "status": 200, "forwarded": "-", "agent": "curl/8", "authority": "shop.test",
        "sni": "shop.test", "route": "default",
    }  # fmt: skip
    return ISTIO.format(**{**fields, **changes})


def istio_json(**changes):
    fields = {
        "start_time": "2026-11-21T10:00:00.123Z", "method": "GET", "path": "/a?b=c", "protocol": "HTTP/2",
        "response_code": 200, "authority": "shop.test", "requested_server_name": "shop.test", "user_agent": "curl/8",
    }  # fmt: skip
    return json.dumps({**fields, **changes})


def haproxy(**changes):
    fields = {"frontend": "https~", "captured": " {shop.test|x} {}", "request": "GET /a?b=c HTTP/1.1"}
    return HAPROXY.format(**{**fields, **changes})


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("envoy", ENVOY, Record("GET", "shop.test:8443", "/a?b=c", 200, "HTTP/1.1", None)),
        ("envoy", istio(), Record("GET", "shop.test", "/a?b=c", 200, "HTTP/2", True)),
        ("envoy", istio(sni="-"), Record("GET", "shop.test", "/a?b=c", 200, "HTTP/2", False)),
        ("envoy", istio(authority="-"), Record("GET", "", "/a?b=c", 200, "HTTP/2", True)),
        ("envoy", "2026-11-21T10:00:00.1Z stdout F " + istio(), Record("GET", "shop.test", "/a?b=c", 200, "HTTP/2", True)),
        ("envoy", "[pod/gw-1/istio-proxy] " + ENVOY, Record("GET", "shop.test:8443", "/a?b=c", 200, "HTTP/1.1", None)),
        ("envoy", istio(agent='x" "evil.test" "1" b'), Record("GET", "shop.test", "/a?b=c", 200, "HTTP/2", True)),
        ("envoy", istio(request='GET /"q" HTTP/1.1'), Record("GET", "shop.test", '/"q"', 200, "HTTP/1.1", True)),
        ("envoy", istio(request="- - -", status=0, authority="-"), NOT_HTTP),
        ("envoy", istio()[:80], None),
        ("envoy", "2026-11-21 info Envoy proxy is ready", None),
        ("istio_json", istio_json(), Record("GET", "shop.test", "/a?b=c", 200, "HTTP/2", True)),
        ("istio_json", "stdout F " + istio_json(), Record("GET", "shop.test", "/a?b=c", 200, "HTTP/2", True)),
        ("istio_json", istio_json(requested_server_name=None),
         Record("GET", "shop.test", "/a?b=c", 200, "HTTP/2", False)),
        ("istio_json", istio_json(method=None, path=None, authority=None), NOT_HTTP),
        ("istio_json", '{"level": "info", "msg": "ready"}', None),
        ("istio_json", istio_json()[:50], None),
        ("istio_json", "{" * 70000, None),
        ("haproxy", haproxy(), Record("GET", "shop.test", "/a?b=c", 200, "HTTP/1.1", True)),
        ("haproxy", haproxy(frontend="http"), Record("GET", "shop.test", "/a?b=c", 200, "HTTP/1.1", False)),
        ("haproxy", haproxy(captured=""), Record("GET", "", "/a?b=c", 200, "HTTP/1.1", True)),
        ("haproxy", haproxy(request="GET https://shop.test/a?b=c HTTP/2.0", captured=""),
         Record("GET", "shop.test", "/a?b=c", 200, "HTTP/2.0", True)),
        ("haproxy", haproxy(request="GET https://shop.test HTTP/2.0", captured=""),
         Record("GET", "shop.test", "/", 200, "HTTP/2.0", True)),
        ("haproxy", haproxy(request="GET /#22a#23 HTTP/1.1"), Record("GET", "shop.test", '/"a#', 200, "HTTP/1.1", True)),
        ("haproxy", haproxy() + " 0/0/0/0/0 shop.test/TLSv1.3/X",
         Record("GET", "shop.test", "/a?b=c", 200, "HTTP/1.1", True)),
        ("haproxy", haproxy(request="<BADREQ>"), NOT_HTTP),
        ("haproxy", haproxy()[:-20], None),
        ("haproxy", "haproxy[14]: 10.0.1.2:3 [21/Nov/2026:10:00:00.443] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0",
         NOT_HTTP),
        ("haproxy", "haproxy[14]: Server web/srv1 is UP, reason: Layer4 check passed", None),
    ],
)  # fmt: skip
def test_a_line(name, line, expected):
    assert FORMATS[name](line) == expected


@pytest.mark.parametrize(("name", "line"), [("envoy", istio()), ("istio_json", istio_json()), ("haproxy", haproxy())])
def test_the_format_is_found_out_behind_lines_of_no_format(name, line):
    assert _access_log.sniff(["", "Envoy proxy is ready", line]) == name
    assert _access_log.sniff(["nothing"]) is None


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(line=st.text(max_size=300), at=st.integers(0, 400), cut=st.integers(0, 400))
def test_no_line_breaks_a_parser(name, line, at, cut):
    for whole in (line, istio(), istio_json(), haproxy()):
        FORMATS[name](whole[:at] + line + whole[at:])
        FORMATS[name](whole[:cut])


WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"'), min_size=1, max_size=40)


@given(agent=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80), path=WORD)
def test_what_clients_write_does_not_change_what_they_asked(agent, path):
    line = istio(agent=agent, forwarded=agent, request=f"GET /{path} HTTP/1.1")
    assert FORMATS["envoy"](line)[:4] == ("GET", "shop.test", f"/{path}", 200)
