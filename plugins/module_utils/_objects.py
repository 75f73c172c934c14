# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an object is called, what it carries, and whom it selects. Pure, for objects of every kind."""

from __future__ import annotations

import typing as t

Object = dict[str, t.Any]
Labels = t.Mapping[str, str]
# In the selector of a Service that is blue's and carries green's traffic: a label that no pod has, so that Kubernetes
# finds none of blue's pods for it. Whose Service it is has not changed by that.
CARRIES = "bluegreen.mesh/carries"
PREVIEW_OF = "bluegreen.mesh/preview-of"  # annotation of what leads requests with a header from blue to green: the Gateway
OPERATOR = "install.operator.istio.io/owning-resource"  # label of what an Istio operator has made: its IstioOperator
OUR_LABELS = {"app.kubernetes.io/managed-by": "bluegreen.mesh"}  # on what a migration has put there for its own use


def ref_of(item: Object) -> tuple[str, str]:
    """Its namespace, '' for none, and its name."""
    return item["metadata"].get("namespace") or "", item["metadata"]["name"]


def key_of(item: Object) -> str:
    """NAMESPACE/NAME."""
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def labels_of(item: Object) -> dict[str, str]:
    return item["metadata"].get("labels") or {}


def holds(item: Object, condition: str) -> bool:
    """Whether its status says that a condition of this type is true."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == condition and one.get("status") == "True" for one in conditions)


def annotations_of(item: Object) -> dict[str, str]:
    return item["metadata"].get("annotations") or {}


def template_labels(workload: Object) -> dict[str, str]:
    """Labels of the pods that a Deployment or a DaemonSet makes."""
    template = (workload.get("spec") or {}).get("template") or {}
    return (template.get("metadata") or {}).get("labels") or {}


def selector_of(item: Object | None) -> dict[str, str]:
    """That of a Gateway or a Service: of the pods that are its own, whether it sends to them or not."""
    return own_selector(((item or {}).get("spec") or {}).get("selector"))


def label_query(labels: Labels) -> str:
    """A plain selector as a list takes it."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def own_selector(selector: Labels | None) -> dict[str, str]:
    return {key: value for key, value in (selector or {}).items() if key != CARRIES}


def selects(selector: Labels | None, labels: Labels | None) -> bool:
    """Whether a plain selector takes these labels. An empty one takes none: that is so for Services, and a Gateway
    without one is for no pods in particular."""
    own = own_selector(selector)
    return bool(own) and own.items() <= (labels or {}).items()


def configures(gateway: Object, labels: Labels) -> bool:
    """Whether pods with these labels get a Gateway from istiod: one without a selector goes to every gateway workload."""
    return selector_of(gateway).items() <= labels.items()


def picks(selector: Object | None, labels: Labels) -> bool:
    """Whether a LabelSelector (matchLabels, matchExpressions) picks these labels; an empty one picks all, none none."""
    if selector is None:
        return False
    for term in selector.get("matchExpressions") or ():
        value, values = labels.get(term["key"]), term.get("values") or ()
        holds = {
            "In": value in values, "NotIn": value not in values, "Exists": value is not None,
            "DoesNotExist": value is None,
        }  # fmt: skip
        if not holds.get(term["operator"], True):
            return False
    return (selector.get("matchLabels") or {}).items() <= labels.items()
