# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One more label in the selector of blue's Gateways, where green's pods carry all those that they select by.

Big Bang's old and new gateways both have the pods' label app: public-ingressgateway, and both Gateways select by it, in
every namespace. Changing a selector so that it takes the same pods as before changes nothing for these pods; changing
labels of pods means new pods, and NetworkPolicies that no longer know them.
"""

from __future__ import annotations

import re
import typing as t

from ._module import Refusal
from ._objects import configures, selector_of

Object = dict[str, t.Any]
# Labels that both sides have, or that change with the next rollout.
COMMON = re.compile(
    r"(app\.kubernetes|helm|sidecar\.istio|service\.istio|topology\.istio|topology\.kubernetes|security\.istio)\.(sh|io)/"
    r"|istio\.io/(rev|dataplane-mode)$|(pod-template-hash|controller-revision-hash|version)$"
)
# What says best that these are the pods of the operator or of the old chart; then in alphabetical order.
TELLING = (
    "operator.istio.io/component", "install.operator.istio.io/owning-resource", "release", "chart", "istio", "app",
)  # fmt: skip


def narrowed(
    gateway: Object, blue: t.Mapping[str, str], green: t.Sequence[t.Mapping[str, str]]
) -> dict[str, str] | None:
    """The selector with one more label, or None where it takes none of green's pods already.

    blue: labels of blue's pods, as its Deployment makes them; green: those that green's pods have or will have. Raises
    Refusal: not_blues (the Gateway does not select blue's pods), no_label (nothing tells them apart).
    """
    selector, meta = selector_of(gateway), gateway["metadata"]
    where = f"Gateway {meta['namespace']}/{meta['name']}"
    if not configures(gateway, blue):
        raise Refusal("not_blues", f"{where}: its selector {selector} does not select blue's pods ({dict(blue)}).")
    taken = [labels for labels in green if configures(gateway, labels)]
    if not taken:
        return None
    own = [
        key for key, value in blue.items()
        if not COMMON.match(key) and all(labels.get(key) != value for labels in taken)
    ]  # fmt: skip
    if not own:
        raise Refusal(
            "no_label",
            f"{where}: its selector {selector} takes green's pods too, and no label of blue's pods ({dict(blue)}) tells"
            " them from green's for good. Add one to blue's pods, or give green's other labels.",
        )
    best = min(own, key=lambda key: (TELLING.index(key) if key in TELLING else len(TELLING), key))
    return {**selector, best: blue[best]}
