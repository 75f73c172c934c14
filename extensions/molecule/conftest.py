# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every scenario's tests have without asking: this folder and our collection to import from, and the cluster."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.register_assert_rewrite("aws")  # it has tests

import lab  # noqa: E402, I001: it lets our collection be imported
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster  # noqa: E402


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster(**lab.CONNECTION)
