# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils import _field_owners as owners
from fake_sources import applied
from fake_sources import virtual_service as make

OURS = "bluegreen-mesh"


def entry(manager, *fields, operation="Update"):
    return {**applied(manager, *fields)[0], "operation": operation}


def back(before, now):
    return owners.given_back(owners.appliers(make(managedFields=before)), make(managedFields=now), OURS)


def test_what_a_patch_took_is_given_back():
    before = applied("helm", "gateways", "hosts", "http")
    assert back(before, [*applied("helm", "hosts"), entry(OURS, "gateways", "http")]) == [
        {**before[0], "fieldsV1": {"f:spec": {"f:hosts": {}, "f:gateways": {}, "f:http": {}}}}
    ]


def test_what_was_nobodys_stays_ours():
    now = [*applied("helm", "hosts"), entry(OURS, "gateways", "http")]
    assert back(applied("helm", "gateways", "hosts"), now) == [
        {**now[0], "fieldsV1": {"f:spec": {"f:hosts": {}, "f:gateways": {}}}}, entry(OURS, "http"),
    ]  # fmt: skip


def test_what_others_took_meanwhile_stays_theirs():
    now = [*applied("helm", "hosts"), entry("kubectl", "gateways"), entry(OURS, "http")]
    assert back(applied("helm"), now) == [
        {**now[0], "fieldsV1": {"f:spec": {"f:hosts": {}, "f:http": {}}}}, entry("kubectl", "gateways"),
    ]  # fmt: skip


def test_an_entry_that_is_gone_comes_back():
    assert back(applied("helm", "gateways"), [entry(OURS, "gateways")]) == applied("helm", "gateways")


def test_several_who_shared_a_field_share_it_again():
    before = [*applied("helm", "gateways", "hosts"), *applied("argo", "gateways")]
    found = back(before, [*applied("helm", "hosts"), entry(OURS, "gateways")])
    assert [(e["manager"], sorted(e["fieldsV1"]["f:spec"])) for e in found] == [
        ("helm", ["f:gateways", "f:hosts"]), ("argo", ["f:gateways"]),
    ]  # fmt: skip


def test_nothing_to_give_is_none():
    assert back(applied("helm"), applied("helm")) is None
    assert back([entry("kubectl", "gateways")], [entry(OURS, "gateways")]) is None
    assert back([], []) is None


def test_fields_of_a_map_are_given_one_by_one():
    before = [{**applied()[0], "fieldsV1": {"f:spec": {"f:map": {"f:a": {}, "f:b": {}}}}}]
    now = [
        {**applied()[0], "fieldsV1": {"f:spec": {"f:map": {"f:b": {}}}}},
        {**entry(OURS), "fieldsV1": {"f:spec": {"f:map": {"f:a": {}, "f:c": {}}}}},
    ]
    found = back(before, now)
    assert found[0]["fieldsV1"] == {"f:spec": {"f:map": {"f:b": {}, "f:a": {}}}}
    assert found[1]["fieldsV1"] == {"f:spec": {"f:map": {"f:c": {}}}}
