# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each feature of an HTTP route, with each dialect: translated as written here, or refused with what to do."""

from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import route_features
from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress_dialects import DIALECTS
from ansible_collections.bluegreen.mesh.plugins.module_utils.route_features._route import Known, Route, duration
from fake_ingress import NETWORKING, service, thing, to

N = "nginx.ingress.kubernetes.io/"
# istio.io/api networking/v1, HTTPRoute and HTTPMatchRequest, as of 1.31.
HTTP_ROUTE = {
    "name", "match", "route", "redirect", "directResponse", "delegate", "rewrite", "timeout", "retries", "fault", "mirror",
    "mirrors", "mirrorPercent", "mirrorPercentage", "corsPolicy", "headers",
}  # fmt: skip
MATCH = {
    "name", "uri", "scheme", "method", "authority", "headers", "port", "sourceLabels", "gateways", "queryParams",
    "ignoreUriCase", "withoutHeaders", "sourceNamespace", "statPrefix",
}  # fmt: skip


def convert(action, match=None, dialect="nginx", rules=(), services=(), snippets=False, host="web.test", tls=True):
    items = {tuple((s["metadata"]["namespace"], s["metadata"]["name"])): s for s in (service(), *services)}
    route = Route(
        host,
        "shop/web",
        "http[0]",
        match,
        action,
        "shop",
        DIALECTS[dialect](snippets),
        Known(items, list(rules)),
        tls=tls,
    )
    route_features.convert(route)
    return route


def verdict(route, field):
    return route.said[field][0]


def annotations(route):
    found = {}
    for words in route.words:
        found |= words.annotations
    return {key.rpartition("/")[2]: value for key, value in found.items()}


def parts(route, kind="Middleware"):
    return [part["spec"] for words in route.words for part in words.parts if part["kind"] == kind]


def rule(spec, host="web"):
    return thing(NETWORKING, "DestinationRule", "shop/web", {"host": host, **spec})


# -- nothing is lost in silence ----------------------------------------------------------------------------------------
def test_every_field_of_a_route_and_of_its_match_has_a_feature():
    known = {field for feature in route_features.FEATURES for field in feature.FIELDS}
    assert HTTP_ROUTE - {"match"} <= known and {f"match.{name}" for name in MATCH} <= known


@pytest.mark.parametrize("field", sorted(HTTP_ROUTE - {"match", "route"}))
def test_a_field_that_is_there_is_spoken_for(field):
    value = {"name": "n", "timeout": "1s", "mirrorPercent": 3}.get(field, {"x": "y"})
    assert field in convert({**to(), field: value}).said


def test_an_unknown_field_is_not_translated():
    route = convert({**to(), "novelty": {"a": 1}}, {"uri": {"prefix": "/"}, "whim": "x"})
    assert verdict(route, "novelty") == verdict(route, "match.whim") == "not_translated"


# -- where it leads ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("port_name", "app_protocol", "said"),
    [
        ("http", None, "HTTP"), ("web", None, "HTTP"), ("grpc", None, "GRPC"), ("grpc-api", None, "GRPC"),
        ("https-web", None, "HTTPS"), ("x", "grpc", "GRPC"), ("x", "kubernetes.io/ws", "HTTP"), ("grpc-web-ui", None, "HTTP"),
    ],
)  # fmt: skip
def test_the_backends_protocol_is_what_istio_takes_it_for(port_name, app_protocol, said):
    own = service(name=port_name)
    own["spec"]["ports"][0].update({"appProtocol": app_protocol} if app_protocol else {})
    assert annotations(convert(to(), services=[own]))["backend-protocol"] == said


def test_http2_is_no_protocol_of_nginx_for_backends():
    assert verdict(convert(to(), services=[service(name="http2")]), "route") == "not_translated"
    assert convert(to(), services=[service(name="http2")], dialect="traefik").words[0].service[
        "traefik.ingress.kubernetes.io/service.serversscheme"
    ] == "h2c"  # fmt: skip


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ({"host": "example.com"}, "outside the cluster"), ({"host": "gone"}, "no Service shop/gone"),
        ({"host": "web", "port": {"number": 81}}, "found port 81"), ({"host": "web", "subset": "v9"}, "subset v9"),
    ],
)  # fmt: skip
def test_a_destination_that_is_no_service_is_refused(destination, words):
    route = convert({"route": [{"destination": destination}]})
    assert verdict(route, "route") == "not_translated" and words in route.said["route"][1]


def test_a_subset_becomes_the_pods_of_a_service_of_its_own():
    route = convert(
        {"route": [{"destination": {"host": "web", "subset": "v1"}}]},
        rules=[rule({"subsets": [{"name": "v1", "labels": {"version": "1"}}]})],
    )
    assert verdict(route, "route") == "translated" and route.targets[0].selector == {"app": "web", "version": "1"}


@pytest.mark.parametrize(
    ("policy", "verdict_", "words"),
    [
        ({"tls": {"mode": "ISTIO_MUTUAL"}}, "translated", ""),
        ({"tls": {"mode": "MUTUAL"}}, "not_translated", "client certificate"),
        ({"loadBalancer": {"consistentHash": {"httpCookie": {"name": "a"}}}}, "not_translated", "consistentHash"),
        ({"outlierDetection": {}, "connectionPool": {}}, "translated", "connectionPool, outlierDetection"),
    ],
)
def test_what_a_destination_rule_did_is_said(policy, verdict_, words):
    route = convert(to(), rules=[rule({"trafficPolicy": policy}, "web.shop.svc.cluster.local")])
    assert verdict(route, "route") == verdict_ and words in route.said["route"][1]


def test_tls_of_a_destination_rule_is_tls_of_the_backend():
    assert (
        annotations(convert(to(), rules=[rule({"trafficPolicy": {"tls": {"mode": "SIMPLE"}}})]))["backend-protocol"]
        == "HTTPS"
    )


def test_weights_are_shares_of_a_second_ingress_where_the_controller_knows_canaries():
    two = {"route": [{"destination": {"host": "web"}, "weight": 10}, {"destination": {"host": "new"}, "weight": 30}]}
    route = convert(two, services=[service("shop/new")])
    assert verdict(route, "route") == "translated"
    assert [(t.service[1], t.percent) for t in route.targets] == [("new", 75), ("web", 25)]
    assert verdict(convert(two, services=[service("shop/new")], dialect="traefik"), "route") == "not_translated"
    three = {"route": [*two["route"], {"destination": {"host": "old"}, "weight": 5}]}
    assert verdict(convert(three, services=[service("shop/new"), service("shop/old")]), "route") == "not_translated"


# -- conditions --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (None, ("prefix", "/")), ({"uri": {"prefix": "/api"}}, ("prefix", "/api")),
        ({"uri": {"exact": "/api"}}, ("exact", "/api")), ({"uri": {"regex": ".*"}}, ("prefix", "/")),
    ],
)  # fmt: skip
def test_paths(match, expected):
    route = convert(to(), match)
    assert (route.kind, route.path) == expected and "not_translated" not in {v for v, _why in route.said.values()}


@pytest.mark.parametrize(
    "match",
    [
        {"uri": {"regex": "/v[0-9]+"}}, {"uri": {"prefix": "/a"}, "ignoreUriCase": True}, {"method": {"exact": "GET"}},
        {"queryParams": {"a": {"exact": "1"}}}, {"withoutHeaders": {"a": {}}}, {"authority": {"exact": "other.test"}},
        {"headers": {"a": {"prefix": "x"}}}, {"headers": {"a": {"exact": "x"}, "b": {"exact": "y"}}},
        {"scheme": {"exact": "http"}}, {"uri": {"prefix": "api"}},
    ],
)  # fmt: skip
def test_conditions_that_an_ingress_does_not_know_are_refused(match):
    assert "not_translated" in {verdict for verdict, _why in convert(to(), match).said.values()}


def test_conditions_that_mean_nothing_there_are_not_needed():
    match = {
        "gateways": ["istio-system/public"], "port": 443, "name": "x", "authority": {"exact": "web.test"},
        "scheme": {"exact": "https"}, "sourceNamespace": "istio-system",
    }  # fmt: skip
    assert {v for f, (v, _why) in convert(to(), match).said.items() if f.startswith("match.")} == {"not_needed"}


def test_one_header_with_one_value_is_a_canary_of_nginx():
    match = {"headers": {"x-new": {"exact": "yes"}}}
    assert convert(to(), match).beside == ("x-new", "yes")
    assert verdict(convert(to(), match, dialect="traefik_nginx"), "match.headers") == "not_translated"


# -- what is done to a request -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "new", "expected", "target"),
    [
        ("/old", "/", "/old(/(.*)|$)", "/$2"), ("/old", "/new", "/old(/.*|$)", "/new$1"),
        ("/old/", "/new/", "/old/(.*)", "/new/$1"), ("/", "/new/", "/(.*)", "/new/$1"),
    ],
)  # fmt: skip
def test_a_rewritten_prefix_is_a_capture_with_nginx(path, new, expected, target):
    route = convert({**to(), "rewrite": {"uri": new}}, {"uri": {"prefix": path}})
    assert annotations(route)["rewrite-target"] == target
    assert [w.path for w in route.words if w.path] == [expected] and "case" in route.said["rewrite"][1]


@pytest.mark.parametrize(
    ("path", "new", "asked", "becomes"),
    [
        ("/old", "/", "/old/x", "/x"), ("/old", "/new", "/old/x", "/new/x"), ("/old/", "/new/", "/old/x", "/new/x"),
        ("/old", "/", "/old", "/"),
    ],
)  # fmt: skip
def test_a_rewritten_prefix_becomes_with_regexes_what_istio_makes_of_it(path, new, asked, becomes):
    import re

    (spec,) = parts(convert({**to(), "rewrite": {"uri": new}}, {"uri": {"prefix": path}}, dialect="traefik"))
    own = spec["replacePathRegex"]
    assert re.sub(own["regex"], own["replacement"].replace("$1", r"\1"), asked) == becomes
    route = convert({**to(), "rewrite": {"uri": new}}, {"uri": {"prefix": path}})
    pattern = next(w.path for w in route.words if w.path)
    found = re.fullmatch(pattern, asked)
    target = annotations(route)["rewrite-target"]
    assert re.sub(r"\$(\d)", lambda m: found[int(m[1])] or "", target) == becomes


def test_other_rewrites():
    assert annotations(convert({**to(), "rewrite": {"authority": "in.test"}}))["upstream-vhost"] == "in.test"
    assert (
        verdict(convert({**to(), "rewrite": {"uriRegexRewrite": {"match": "a", "rewrite": "b"}}}), "rewrite")
        == "not_translated"
    )
    odd = convert({**to(), "rewrite": {"uri": "/x"}}, {"uri": {"prefix": "/a+b"}})
    assert verdict(odd, "rewrite") == "not_translated"
    assert (
        verdict(convert({**to(), "rewrite": {"authority": "x"}}, dialect="haproxy_ingress"), "rewrite")
        == "not_translated"
    )


@pytest.mark.parametrize(
    ("redirect", "dialect", "expected"),
    [
        ({"scheme": "https"}, "nginx", {"force-ssl-redirect": "true"}),
        ({"uri": "/new", "redirectCode": 302}, "nginx", {"temporal-redirect": "https://web.test/new"}),
        ({"authority": "new.test", "uri": "/"}, "nginx",
         {"permanent-redirect": "https://new.test/", "permanent-redirect-code": "301"}),
        ({"scheme": "https", "authority": "new.test", "uri": "/x"}, "traefik_nginx",
         {"permanent-redirect": "https://new.test/x"}),
    ],
)  # fmt: skip
def test_redirects(redirect, dialect, expected):
    route = convert({"redirect": redirect}, dialect=dialect)
    assert expected.items() <= annotations(route).items() and verdict(route, "redirect") == "translated"


def test_redirects_that_keep_the_path_need_a_variable_or_traefik():
    route = convert({"redirect": {"authority": "new.test"}})
    assert verdict(route, "redirect") == "not_translated"
    assert (
        "$request_uri" in annotations(convert({"redirect": {"authority": "new.test"}}, snippets=True))[
            "permanent-redirect"
        ]
    )
    (spec,) = parts(convert({"redirect": {"authority": "new.test"}}, dialect="traefik"))
    assert spec["redirectRegex"]["replacement"] == "https://new.test${3}"
    assert (
        verdict(convert({"redirect": {"authority": "a", "redirectCode": 308}}, dialect="traefik"), "redirect")
        == "not_translated"
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("1.5s", 1.5), ("300ms", 0.3), ("1m30s", 90), ("2h", 7200), ("0s", 0)]
)
def test_durations(text, seconds):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "ten"])
def test_what_is_no_duration(text):
    if text:
        with pytest.raises(ValueError, match="duration"):
            duration(text)
        assert verdict(convert({**to(), "timeout": text}), "timeout") == "not_translated"


def test_timeouts():
    route = convert({**to(), "timeout": "10s"})
    assert annotations(route)["proxy-read-timeout"] == "10" and "silence" in route.said["timeout"][1]
    assert verdict(convert({**to(), "timeout": "0s"}), "timeout") == "not_needed"
    assert verdict(convert({**to(), "timeout": "1s"}, dialect="traefik_nginx"), "timeout") == "not_translated"
    (transport,) = parts(convert({**to(), "timeout": "1s"}, dialect="traefik"), "ServersTransport")
    assert transport == {"forwardingTimeouts": {"responseHeaderTimeout": "1s"}}
    assert annotations(convert({**to(), "timeout": "1s"}, dialect="haproxy"))["timeout-server"] == "1s"


def test_retries():
    route = convert({**to(), "retries": {"attempts": 2, "retryOn": "5xx,cancelled", "perTryTimeout": "2s"}})
    said = annotations(route)
    assert said["proxy-next-upstream-tries"] == "3" and "http_503" in said["proxy-next-upstream"]
    assert "cancelled" in route.said["retries"][1] and "2 s" in route.said["retries"][1]
    assert annotations(convert({**to(), "retries": {"attempts": 0, "retryOn": "5xx"}}))["proxy-next-upstream"] == "off"
    assert (
        verdict(convert({**to(), "retries": {"attempts": 1, "retryOn": "retriable-4xx"}}), "retries")
        == "not_translated"
    )
    assert verdict(convert({**to(), "retries": {"attempts": 1}}, dialect="haproxy"), "retries") == "not_translated"


def test_cors():
    policy = {
        "allowOrigins": [{"exact": "https://a.test"}], "allowMethods": ["GET"], "allowHeaders": ["x-a"], "maxAge": "24h",
        "allowCredentials": True,
    }  # fmt: skip
    said = annotations(convert({**to(), "corsPolicy": policy}))
    assert (
        said["enable-cors"] == "true"
        and said["cors-allow-origin"] == "https://a.test"
        and said["cors-max-age"] == "86400"
    )
    (spec,) = parts(convert({**to(), "corsPolicy": policy}, dialect="traefik"))
    assert spec["headers"]["accessControlAllowOriginList"] == ["https://a.test"]
    regex = {**policy, "allowOrigins": [{"regex": "https://.*\\.test"}]}
    assert verdict(convert({**to(), "corsPolicy": regex}), "corsPolicy") == "not_translated"
    expose = {**policy, "exposeHeaders": ["x-b"]}
    assert verdict(convert({**to(), "corsPolicy": expose}, dialect="haproxy"), "corsPolicy") == "not_translated"


def test_headers():
    change = {"request": {"set": {"x-a": "1"}, "remove": ["x-b"]}, "response": {"add": {"x-c": "2"}}}
    assert verdict(convert({**to(), "headers": change}), "headers") == "not_translated"
    request, response = parts(convert({**to(), "headers": change}, dialect="traefik"))
    assert request["headers"]["customRequestHeaders"] == {"x-a": "1", "x-b": ""}
    assert response["headers"]["customResponseHeaders"] == {"x-c": "2"}
    host = convert({**to(), "headers": {"request": {"set": {"Host": "in.test"}}}})
    assert annotations(host)["upstream-vhost"] == "in.test"
    variable = {"request": {"set": {"x": "%DOWNSTREAM_REMOTE_ADDRESS%"}}}
    assert verdict(convert({**to(), "headers": variable}, dialect="traefik"), "headers") == "not_translated"
    own = {"route": [{"destination": {"host": "web"}, "headers": {"response": {"set": {"x": "1"}}}}]}
    assert annotations(convert(own, dialect="haproxy"))["response-set-header"] == 'x "1"\n'
    assert verdict(convert({**to(), "headers": {}}), "route") == "translated"


@pytest.mark.parametrize(
    "more",
    [{"mirror": {"host": "web"}}, {"mirrors": [{"destination": {"host": "web"}}]}, {"fault": {"abort": {"httpStatus": 500}}},
     {"directResponse": {"status": 200}}, {"delegate": {"name": "x"}}],
)  # fmt: skip
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_no_ingress_does_is_refused_with_what_to_do(more, dialect):
    route = convert({**to(), **more}, dialect=dialect)
    ((field, _value),) = more.items()
    assert verdict(route, field) == "not_translated" and len(route.said[field][1]) > 20
