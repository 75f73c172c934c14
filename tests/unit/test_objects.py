# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What selectors of each kind select, as Kubernetes and istiod have it."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _objects

LABELS = {"app": "public", "bare": ""}


def term(key: str, operator: str, *values: str) -> dict[str, t.Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (term("app", "In", "public", "other"), True),
        (term("app", "In", "other"), False),
        (term("none", "In", "public"), False),
        (term("app", "NotIn", "public", "other"), False),
        (term("app", "NotIn", "other"), True),
        (term("none", "NotIn", "public"), True),  # a label that is not there has none of these values
        (term("app", "Exists"), True),
        (term("bare", "Exists"), True),
        (term("none", "Exists"), False),
        (term("app", "DoesNotExist"), False),
        (term("bare", "DoesNotExist"), False),
        (term("none", "DoesNotExist"), True),
    ],
)
def test_expressions_of_a_label_selector(expression: dict[str, t.Any], expected: bool) -> None:
    assert _objects.picks({"matchExpressions": [expression]}, LABELS) is expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {}, "matchExpressions": []}, True),
        ({"matchLabels": None, "matchExpressions": None}, True),
        ({"matchLabels": {"app": "public"}}, True),
        ({"matchLabels": {"app": "public", "none": ""}}, False),
        ({"matchLabels": {"app": "other"}}, False),
        # All of it has to hold.
        ({"matchLabels": {"app": "public"}, "matchExpressions": [term("bare", "Exists")]}, True),
        ({"matchLabels": {"app": "public"}, "matchExpressions": [term("none", "Exists")]}, False),
        ({"matchLabels": {"app": "other"}, "matchExpressions": [term("bare", "Exists")]}, False),
        ({"matchExpressions": [term("app", "Exists"), term("none", "Exists")]}, False),
    ],
)
def test_label_selectors(selector: dict[str, t.Any] | None, expected: bool) -> None:
    assert _objects.picks(selector, LABELS) is expected


@pytest.mark.parametrize(
    ("selector", "service", "gateway"),
    [
        (None, False, True),
        ({}, False, True),
        ({"app": "public"}, True, True),
        ({"app": "public", "bare": ""}, True, True),
        ({"app": "other"}, False, False),
        ({"none": ""}, False, False),
    ],
)
def test_without_a_selector_a_service_has_no_pods_and_a_gateway_all(
    selector: dict[str, str] | None, service: bool, gateway: bool
) -> None:
    assert _objects.selects(selector, LABELS) is service
    assert _objects.configures({"spec": {"selector": selector}}, LABELS) is gateway


def test_what_has_no_labels_is_selected_by_none() -> None:
    assert not _objects.selects({"app": "public"}, None)
    assert not _objects.selects({"app": "public"}, {})
