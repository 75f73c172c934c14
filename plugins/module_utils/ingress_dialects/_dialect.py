# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every dialect can be asked, and what it answers."""

from __future__ import annotations

import dataclasses
import typing as t

Object = dict[str, t.Any]
HOUR = 3600  # seconds that an idle WebSocket or stream may last: what Istio's own gateways allow


class Cannot(Exception):
    """This controller has no word for it. str(): what a person must do instead."""


@dataclasses.dataclass
class Words:
    """annotations: of the Ingress. service: annotations that belong on the backend's Service, which then must be one of
    our own. parts: objects beside the Ingress, in order (kind-specific specs of the controller's own kinds). path,
    path_type: in place of those that were asked for. differs: where the answer is not quite what Istio did."""

    annotations: dict[str, str] = dataclasses.field(default_factory=dict)
    service: dict[str, str] = dataclasses.field(default_factory=dict)
    parts: list[Object] = dataclasses.field(default_factory=list)
    path: str = ""
    path_type: str = ""
    differs: str = ""


class Dialect:
    """code: its name in options; controller: `spec.controller` of its IngressClasses; snippets: whether the controller
    lets Ingresses carry raw configuration. A method that is not overridden can't be done by annotations."""

    code = ""
    title = ""
    controllers: tuple[str, ...] = ()
    same_path = ""  # what becomes of two Ingresses with one host and path, in words
    wildcard_any_depth = False  # whether *.test takes a.b.test too, as in Istio; the Ingress API says one label
    shares_backends = False  # whether annotations of two Ingresses for one Service get in each other's way

    def __init__(self, snippets: bool = False) -> None:
        self.snippets = snippets

    # -- always asked ------------------------------------------------------------------------------------------------
    def backend(self, protocol: str, sni: str) -> Words:
        """protocol: http, https, h2c, grpc or grpcs; sni: the server name for https and grpcs, '' for none. The Host
        header stays what the client sent. The backend's certificate is not verified, as Istio's gateway serves the
        public one and pods serve their own."""
        raise NotImplementedError

    def https_redirect(self, wanted: bool) -> Words:
        """Whether clients of plain HTTP are sent to HTTPS."""
        raise NotImplementedError

    def patience(self) -> Words:
        """No limits where Istio's gateway has none: streams and WebSockets may be idle for HOUR, bodies are not
        buffered and of any size."""
        return Words()

    def priority(self, low: bool) -> Words:
        """low: any other Ingress for the same host and path comes first."""
        return Words()

    # -- features of routes ------------------------------------------------------------------------------------------
    def rewrite_path(self, kind: str, path: str, new: str) -> Words:
        """kind: prefix or exact; Istio puts `new` in the place of the part that matched."""
        raise Cannot(f"{self.title} has no annotation for it. Let the application serve the path as it is.")

    def rewrite_host(self, host: str) -> Words:
        raise Cannot(f"{self.title} has no annotation for it. Let the application accept the clients' Host.")

    def redirect(self, kind: str, path: str, target: Object) -> Words:
        """target: scheme, authority, uri (each may be missing) and code, as in HTTPRedirect."""
        raise Cannot(f"{self.title} has no annotation for it. Let a Service of your own answer with the redirect.")

    def timeout(self, value: float) -> Words:
        """value: in seconds."""
        raise Cannot(f"{self.title} has no annotation for it. Let the application end what takes too long.")

    def retries(self, attempts: int, on: t.Sequence[str]) -> Words:
        """on: conditions as in Istio's retryOn."""
        raise Cannot(f"{self.title} has no annotation for it. After the swap, Linkerd can retry for a Service.")

    def cors(self, policy: Object) -> Words:
        """policy: {"origins": [exact ones], "methods", "headers", "expose": lists, "max_age": seconds or None,
        "credentials": bool}."""
        raise Cannot(f"{self.title} has no annotation for it. Let the application answer with these headers.")

    def request_headers(self, change: Object) -> Words:
        """change: {"set", "add": maps, "remove": list}."""
        raise Cannot(f"{self.title} has no annotation for it. Let the application do without.")

    def response_headers(self, change: Object) -> Words:
        raise Cannot(f"{self.title} has no annotation for it. Let the application set these headers.")

    def share(self, percent: int) -> Words:
        """Of an Ingress beside another one for the same host and path: it gets so many of its requests."""
        raise Cannot(f"{self.title} has no annotation for weights. Finish the canary before this host is moved.")

    def header_match(self, name: str, value: str) -> Words:
        """Of an Ingress beside another one for the same host and path: it gets requests with this header."""
        raise Cannot(f"{self.title} has no annotation for it. Give these clients a host or a path of their own.")

    # -- objects of the controller's own kinds -----------------------------------------------------------------------
    def attach(self, ingress: Object, parts: t.Sequence[Object]) -> list[Object]:
        """The objects for `parts`, named in the Ingress's annotations. Changes the Ingress."""
        if parts:
            raise AssertionError(f"{self.code} has no kinds of its own")
        return []

    def service_words(self, ingress: Object, parts: t.Sequence[Object]) -> dict[str, str]:
        """Annotations of the Service for these parts."""
        return {}


def seconds(value: float) -> str:
    """Whole seconds, never 0."""
    return str(max(1, round(value)))
