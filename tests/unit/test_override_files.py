# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.modules import override_files
from fake_cluster import run_module


def component(*names):
    patches = [{"path": f"{name}.yaml", "target": {"name": name}} for name in names]
    return {
        "path": "kustomize/kustomization.yaml",
        "content": f"# head\n---\n{yaml.safe_dump({'kind': 'Component', 'patches': patches})}",
    }


VALUES = {"path": "helm/a.b.yaml", "content": "# head\n---\na: 1\n", "virtual_services": ["a/b"]}


def run(dest, *overrides, check=False):
    return run_module(override_files, {"dest": str(dest), "overrides": list(overrides)}, check=check)


def test_files_are_written_once(tmp_path):
    result = run(tmp_path / "new", VALUES, component("x"))
    assert result["changed"] and result["files"] == ["helm/a.b.yaml", "kustomize/kustomization.yaml"]
    assert (tmp_path / "new/helm/a.b.yaml").read_text() == VALUES["content"]
    assert not run(tmp_path / "new", VALUES, component("x"))["changed"]
    assert sorted(p.name for p in (tmp_path / "new").rglob("*") if p.is_file()) == ["a.b.yaml", "kustomization.yaml"]


def test_check_mode_says_the_same_and_writes_nothing(tmp_path):
    planned = run(tmp_path / "new", VALUES, check=True)
    assert not (tmp_path / "new").exists()
    assert planned == run(tmp_path / "new", VALUES)
    assert planned["diff"] == [
        {"before_header": VALUES["path"], "after_header": VALUES["path"], "before": "", "after": VALUES["content"]}
    ]


def test_a_component_goes_on_listing_what_it_listed(tmp_path):
    run(tmp_path, component("x", "y"))
    assert not run(tmp_path, component("y"))["changed"]
    assert run(tmp_path, component("y", "z"))["changed"]
    content = yaml.safe_load((tmp_path / "kustomize/kustomization.yaml").read_text())
    assert [patch["path"] for patch in content["patches"]] == ["x.yaml", "y.yaml", "z.yaml"]


def test_nothing_to_write_changes_nothing(tmp_path):
    assert not run(tmp_path / "new")["changed"] and not (tmp_path / "new").exists()


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", ""])
def test_a_path_that_leads_out_is_refused(tmp_path, path):
    result = run(tmp_path, {**VALUES, "path": path})
    assert result["failure"]["code"] == "bad_option" and not list(tmp_path.iterdir())


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "helm").write_text("")
    result = run(tmp_path, VALUES)
    assert (
        result["failure"]["code"] in ("unwritable", "unreadable") and str(tmp_path / "helm/a.b.yaml") in result["msg"]
    )
