# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Annotations that no feature understands: those of others, and those of ingress-nginx that nobody has heard of."""

from __future__ import annotations

import typing as t

from ._model import NGINX, Source

CODE = "unknown"
# beginning of a name -> why nothing is to be made of it. The longest that fits counts.
NOT_NEEDED = {
    "kubernetes.io/ingress.class": "it is the class by which the Gateway was chosen",
    "kubernetes.io/": "Kubernetes' own",
    "kubectl.kubernetes.io/": "kubectl's own record",
    "meta.helm.sh/": "Helm's own record: what Helm has made stays Helm's",
    "helm.sh/": "Helm's own",
    "argocd.argoproj.io/": "Argo CD's own",
    "kustomize.toolkit.fluxcd.io/": "Flux's own",
    "helm.toolkit.fluxcd.io/": "Flux's own",
    "config.kubernetes.io/": "kustomize's own",
    "field.cattle.io/": "Rancher's own",
    "bluegreen.mesh/": "ours",
}
# beginning of a name -> (what it is, what a person must do)
NAMED = {
    "external-dns.alpha.kubernetes.io/": (
        "external-dns reads it from the Ingress and makes its DNS records",
        "Leave it until the DNS names are to move; then give the same to the Gateway (source istio-gateway) or the"
        " Service.",
    ),
    "cert-manager.io/": ("cert-manager reads it from the Ingress", "Write it into the Certificate by hand."),
    "acme.cert-manager.io/": ("cert-manager reads it from the Ingress", "Set it at the issuer."),
    "traefik.ingress.kubernetes.io/": ("it is for Traefik", "Say it by Istio's means, if Traefik is what serves this."),
    "traefik.io/": ("it is for Traefik", "Say it by Istio's means, if Traefik is what serves this."),
    "haproxy.org/": ("it is for HAProxy's controller", "Say it by Istio's means, if that is what serves this."),
    "nginx.org/": ("it is for F5's NGINX Ingress controller", "Say it by Istio's means, if that is what serves this."),
    "nginx.com/": ("it is for F5's NGINX Ingress controller", "Say it by Istio's means, if that is what serves this."),
    "alb.ingress.kubernetes.io/": ("it is for AWS' load balancer controller", "Set it at the gateway's Service."),
    "konghq.com/": ("it is for Kong", "Say it by Istio's means, if Kong is what serves this."),
}


def classify(source: Source) -> None:
    """Says what becomes of every annotation that has not been spoken of."""
    source.feature = CODE
    for name in source.annotations:
        if name in source.entries:
            continue
        why = _longest(NOT_NEEDED, name)
        named = _longest(NAMED, name)
        if why:
            source.not_needed(name, why)
        elif named:
            source.refuse(name, *named, "warning")
        elif name.startswith(NGINX):
            source.refuse(
                name, "this collection does not know it; ingress-nginx may, or it may be misspelt",
                "Look up what it does. If it does nothing, take it away or waive this; else say it by Istio's means.",
            )  # fmt: skip
        else:
            source.not_needed(name, "no Ingress controller that this collection knows reads it")


def _longest(table: dict[str, t.Any], name: str) -> t.Any:
    fitting = [start for start in table if name.startswith(start)]
    return table[max(fitting, key=len)] if fitting else None
