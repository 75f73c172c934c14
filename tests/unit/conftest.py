# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of every unit test."""

from __future__ import annotations

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does, and says nothing about the code.
settings.register_profile("mesh", deadline=None)
settings.load_profile("mesh")


@pytest.fixture(scope="session")
def account(tmp_path_factory):
    import moto_aws  # only where it is needed: boto3 takes its time

    with moto_aws.running(tmp_path_factory.mktemp("moto")) as account:
        yield account


@pytest.fixture
def cloud(account, monkeypatch):
    """A cloud in moto, with nodes and nothing in front of them."""
    from ansible_collections.bluegreen.mesh.plugins.module_utils import _elb_balancer

    for name in ("AWS_PROFILE", "AWS_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_elb_balancer, "POLL", 0.05)
    monkeypatch.setattr(_elb_balancer, "SETTLE", 0.5)
    account.clear()
    return account
