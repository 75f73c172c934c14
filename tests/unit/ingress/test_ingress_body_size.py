# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from fake_ingresses import codes, convert, ingress, status


@pytest.mark.parametrize(("size", "said"), [("0", "not_needed"), ("50m", "not_translated")])
def test_there_is_no_field_for_it(size, said):
    result = convert(ingress(notes={"proxy-body-size": size}))
    assert status(result, "proxy-body-size") == said
    assert ("annotation_body_size" in codes(result, "warning")) == (said == "not_translated")
