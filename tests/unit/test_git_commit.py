# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With git itself, in working copies that are made for each test."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import runbook
from ansible_collections.bluegreen.mesh.plugins.module_utils.runbook._command import Book
from ansible_collections.bluegreen.mesh.plugins.modules import git_commit, manifest_files, migration_journal
from fake_cluster import FakeCluster, run_module

MARKER = "Migration: m/unbind"


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """No settings of whoever runs the tests."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\n\tname = t\n\temail = t@t.example\n[init]\n\tdefaultBranch = main\n")


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / "overrides").mkdir()
    (folder / "overrides/a.yaml").write_text("a: blue\n")
    (folder / "other").write_text("1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


@pytest.fixture
def cluster():
    return FakeCluster()


def git(repo, *arguments):
    return subprocess.run(["git", "-C", repo, *arguments], capture_output=True, text=True, check=True).stdout


def journal(cluster):
    opened = run_module(migration_journal, {"namespace": "j", "name": "m", "state": "open"}, cluster)
    return {"namespace": "j", "name": "m", "epoch": opened["epoch"], "phase": "unbind"}


def undo(cluster):
    read = {"namespace": "j", "name": "m", "state": "read", "undo_from": "unbind"}
    return run_module(migration_journal, read, cluster)["undo"]


def run(repo, cluster, check=False, **more):
    options = {"repo": str(repo), "branch": "main", "marker": MARKER}
    if more.get("state") != "reverted":
        options |= {"paths": [str(repo / "overrides")], "subject": "VirtualServices are green"}
    return run_module(git_commit, {**options, **more}, cluster, check=check)


def change(repo):
    (repo / "overrides/a.yaml").write_text("a: green\n")
    (repo / "overrides/ü b.yaml").write_text("b: green\n")
    (repo / "other").write_text("2\n")


def test_what_has_changed_there_is_committed_and_nothing_else(repo, cluster):
    change(repo)
    planned = run(repo, cluster, check=True)
    assert planned["changed"] and git(repo, "log", "--format=%s").split() == ["first"]
    result = run(repo, cluster)
    assert result["files"] == planned["files"] == ["overrides/a.yaml", "overrides/ü b.yaml"]
    assert "-a: blue\n+a: green" in result["diff"]["prepared"]
    assert git(repo, "show", "--no-patch", "--format=%H%n%B").split("\n", 1) == [
        result["commits"][0], f"VirtualServices are green\n\n{MARKER}\n\n",
    ]  # fmt: skip
    assert git(repo, "status", "--porcelain").split() == ["M", "other"]
    assert not run(repo, cluster)["changed"]


def test_a_commit_is_taken_back_by_the_journal(repo, cluster):
    change(repo)
    fenced = journal(cluster)
    run(repo, cluster, journal=fenced)
    (repo / "overrides/a.yaml").write_text("a: green # again\n")
    run(repo, cluster, journal=fenced)
    (repo / "other").write_text("3\n")
    git(repo, "commit", "--quiet", "--all", "--message", "of somebody else")
    (step,) = undo(cluster)
    assert step["op"] == "git_commit" and step["inverse"]["module"] == "git_commit"
    params = step["inverse"]["params"]
    assert params.pop("repo") == str(repo)
    back = {**fenced, "phase": "rollback"}
    assert run(repo, cluster, check=True, **params)["changed"]
    result = run(repo, cluster, **params, journal=back)
    assert len(result["commits"]) == 2
    assert (repo / "overrides/a.yaml").read_text() == "a: blue\n" and not (repo / "overrides/ü b.yaml").exists()
    assert (repo / "other").read_text() == "3\n" and git(repo, "status", "--porcelain") == ""
    assert not run(repo, cluster, **params, journal=back)["changed"]
    # ... and forward again
    change(repo)
    assert run(repo, cluster, journal=fenced)["changed"] and len(git(repo, "log", "--format=%h").split()) == 7


def test_the_runbook_takes_it_back_too(repo, cluster):
    change(repo)
    run(repo, cluster, journal=journal(cluster), command=["git", "tag", "handed-on"])
    (step,) = undo(cluster)
    git(repo, "checkout", "--quiet", "other")
    git(repo, "tag", "--delete", "handed-on")
    for command in runbook.of_step(step, Book("j", "m")):
        subprocess.run(["bash", "-ec", command.run], check=True, capture_output=True)
    assert (repo / "overrides/a.yaml").read_text() == "a: blue\n"
    assert git(repo, "rev-parse", "handed-on") == git(repo, "rev-parse", "HEAD")


def test_nothing_is_pushed_and_a_command_that_is_given_may(repo, cluster, tmp_path):
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
    git(repo, "remote", "add", "origin", str(remote))
    git(repo, "push", "--quiet", "--set-upstream", "origin", "main")
    first = git(repo, "rev-parse", "HEAD")
    change(repo)
    run(repo, cluster)
    assert git(remote, "rev-parse", "main") == first
    assert run(repo, cluster, command=["git", "push", "--quiet"])["changed"]  # what it owes
    assert git(remote, "rev-parse", "main") == git(repo, "rev-parse", "HEAD") != first
    assert not run(repo, cluster, command=["git", "push", "--quiet"])["changed"]


def test_a_command_that_fails_is_run_again(repo, cluster):
    change(repo)
    result = run(repo, cluster, command=["sh", "-c", "echo no way >&2; exit 3"])
    assert result["failure"]["code"] == "command" and "ended with 3: no way" in result["msg"]
    assert git(repo, "log", "--format=%s").splitlines()[0] == "VirtualServices are green"
    for state in ({}, {"state": "reverted"}):
        run(repo, cluster, command=["no-such-program"], **state)
        again = run(repo, cluster, command=["git", "tag", "--force", "handed-on"], **state)
        assert again["changed"] and again["commits"] == []
        assert git(repo, "rev-parse", "handed-on") == git(repo, "rev-parse", "HEAD")
        assert not run(repo, cluster, command=["git", "tag", "--force", "handed-on"], **state)["changed"]


def test_what_others_have_built_upon_is_not_taken_back(repo, cluster):
    change(repo)
    run(repo, cluster)
    (repo / "overrides/a.yaml").write_text("a: other\n")
    git(repo, "commit", "--quiet", "--all", "--message", "upon it")
    head = git(repo, "rev-parse", "HEAD")
    result = run(repo, cluster, state="reverted")
    assert result["failure"]["code"] == "conflict" and "by hand" in result["msg"]
    assert git(repo, "rev-parse", "HEAD") == head and git(repo, "status", "--porcelain") == ""


def on_another_branch(repo):
    git(repo, "checkout", "--quiet", "-b", "feature")


def detached(repo):
    git(repo, "checkout", "--quiet", "--detach")


def staged(repo):
    git(repo, "add", "other")


def merging(repo):
    (repo / ".git/MERGE_HEAD").write_text(git(repo, "rev-parse", "HEAD"))


def no_name(repo):
    git(repo, "config", "user.name", "")


def refusing(repo):
    hook = repo / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho hook says no >&2\nexit 1\n")
    hook.chmod(0o755)


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (on_another_branch, "wrong_branch", "found branch feature, expected main"),
        (detached, "wrong_branch", "detached HEAD"),
        (staged, "staged", "found staged: other"),
        (merging, "busy", "MERGE_HEAD"),
        (refusing, "commit", "hook says no"),
        (no_name, "commit", "git commit"),
    ],
)
def test_a_working_copy_that_can_not_be_committed_to_stays_as_it_is(repo, cluster, spoil, code, said):
    change(repo)
    spoil(repo)
    before = (git(repo, "rev-parse", "HEAD"), git(repo, "status", "--porcelain"))
    result = run(repo, cluster)
    assert result["failure"]["code"] == code and said in result["msg"] and str(repo) in result["msg"]
    assert (git(repo, "rev-parse", "HEAD"), git(repo, "status", "--porcelain")) == before


@pytest.mark.parametrize(("option", "code"), [({"paths": [".."]}, "bad_option"), ({"paths": ["/etc"]}, "bad_option")])
def test_paths_elsewhere_are_refused(repo, cluster, option, code):
    assert run(repo, cluster, **option)["failure"]["code"] == code


def test_what_is_no_working_copy_is_refused(repo, cluster, tmp_path):
    for folder in (tmp_path / "none", tmp_path, repo / "overrides"):
        assert run(folder, cluster, paths=["x"])["failure"]["code"] == "no_repository"


def test_a_folder_that_is_not_there_yet_has_nothing_to_commit(repo, cluster):
    assert not run(repo, cluster, paths=["later"])["changed"]


def test_a_folder_that_has_gone_is_committed_as_gone(repo, cluster):
    change(repo)
    run(repo, cluster)
    for file in (repo / "overrides").iterdir():
        file.unlink()
    (repo / "overrides").rmdir()
    assert run(repo, cluster)["files"] == ["overrides/a.yaml", "overrides/ü b.yaml"]
    assert git(repo, "ls-files").split() == ["other"]


def test_what_going_back_waits_for_is_in_the_journal_and_more_of_it_is_a_step_of_its_own(repo, cluster):
    fenced, awaited = journal(cluster), {"dir": str(repo / "overrides"), "objects": [{"name": "a"}], "pairs": []}
    change(repo)
    run(repo, cluster, journal=fenced, awaited=awaited, first=True)
    for name in ("a", "b"):
        (repo / "overrides/a.yaml").write_text(f"{name}: more\n")
        run(repo, cluster, journal=fenced, awaited={**awaited, "objects": [{"name": name}]})
    steps = undo(cluster)
    found = [step["inverse"]["params"]["awaited"] for step in steps]
    assert [one["objects"] for one in found] == [[{"name": "a"}], [{"name": "b"}]]
    assert all("pairs" not in one and one["dir"] == str(repo / "overrides") for one in found)


def test_commits_of_one_phase_may_be_of_two_kinds(repo, cluster):
    """Each with a command of its own to owe, and to be taken back alone."""
    command = ["git", "tag", "--force", "handed-on"]
    change(repo)
    assert run(repo, cluster, command=command)["changed"]
    (repo / "overrides/c.yaml").write_text("c: policy\n")
    assert run(repo, cluster, marker=f"{MARKER}: bind", command=command)["changed"]
    assert run(repo, cluster, state="reverted", command=command)["changed"]
    assert (repo / "overrides/c.yaml").exists() and (repo / "overrides/a.yaml").read_text() == "a: blue\n"


def test_all_phases_of_a_migration_are_taken_back_newest_first(repo, cluster):
    """What each has changed in the kustomization that lists them is no conflict, and the folder can still be built."""
    top = repo / "migration"

    def commit(phase, folder, *names):
        items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in names]
        given = {"dest": str(top), "migration": "m", "objects": items}
        run_module(manifest_files, given | ({"folder": folder} if folder else {}))
        paths = [str(top / "kustomization.yaml"), *([str(top / folder)] if folder else [])]
        return run(repo, cluster, paths=paths, marker=f"Migration: m{phase}")["commits"]

    commit("", None)
    first = git(repo, "rev-parse", "HEAD^{tree}")
    phases = [
        ("/bind: bind", "bind", "policy"), ("/deploy: deploy", "deploy", "a", "b"), ("/bind: bind", "bind", "p", "q"),
        ("/unbind: bind", "bind", "reduced"), ("/unbind: bind", "bind"),
    ]  # fmt: skip
    assert all(commit(*phase) for phase in phases) and not (top / "bind").exists()
    for marker in ("/unbind: bind", "/deploy: deploy", "/bind: bind"):
        assert run(repo, cluster, marker=f"Migration: m{marker}", state="reverted")["commits"]
    assert git(repo, "rev-parse", "HEAD^{tree}") == first and (top / "kustomization.yaml").exists()
