# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commits in a working copy of somebody's, and takes them back by commits of their own. Nothing is pushed from here.

A commit is known again by a line in its message, which is the same for all of one phase: so a run that was killed
between the journal and the commit, or made a second one, is undone all the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import typing as t
from pathlib import Path

from ._module import Refusal

REVERTS = re.compile(r"This reverts commit ([0-9a-f]{40,64})\.")
BUSY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply", "BISECT_LOG")


class WorkingCopy:
    """repo: its top folder. Raises Refusal where it can't be committed to: no_repository, wrong_branch, busy."""

    def __init__(self, repo: str, branch: str) -> None:
        self.path, self.branch = Path(repo), branch
        if not self.path.is_dir():
            raise Refusal("no_repository", f"repo: {repo}: found no folder, expected a working copy. Clone it there.")
        top = self._try("rev-parse", "--show-toplevel")
        if top.returncode or Path(top.stdout.strip()).resolve() != self.path.resolve():
            found = top.stdout.strip() or top.stderr.strip()
            raise Refusal(
                "no_repository", f"repo: {repo}: found {found}, expected the top folder of a git working copy."
            )
        on = self._try("symbolic-ref", "--short", "HEAD").stdout.strip()
        if on != branch:
            raise Refusal(
                "wrong_branch", f"repo: {repo}: found branch {on or 'none (a detached HEAD)'}, expected {branch}. Check"
                " it out there.",
            )  # fmt: skip
        self.folder = self.path / self._git("rev-parse", "--git-dir").strip()
        for name in BUSY:
            if (self.folder / name).exists():
                raise Refusal("busy", f"repo: {repo}: found {name}: somebody is in the middle of something. End it.")

    # -- looking -----------------------------------------------------------------------------------------------------
    def head(self) -> str:
        return self._git("rev-parse", "HEAD").strip()

    def changed(self, paths: t.Sequence[str]) -> list[str]:
        """The files among these that differ from the last commit. Raises Refusal(staged) where others have staged
        something: a commit would take it along."""
        staged = [name for name in self._git("diff", "--cached", "--name-only", "-z").split("\0") if name]
        if staged:
            raise Refusal(
                "staged", f"repo: {self.path}: found staged: {', '.join(staged[:5])}; expected nothing. Commit it, or"
                " take it out (git restore --staged).",
            )  # fmt: skip
        options = ("--porcelain", "-z", "--untracked-files=all", "--no-renames")
        lines = self._git("status", *options, "--", *paths).split("\0")
        return sorted(line[3:] for line in lines if line)

    def inside(self, paths: t.Sequence[str]) -> list[str]:
        """These paths relative to the top. Raises Refusal(bad_option) for one that leads out."""
        top = self.path.resolve()
        found = []
        for given in paths:
            path = (self.path / given).resolve()
            if not path.is_relative_to(top):
                raise Refusal("bad_option", f"paths: {given} is not in {top}; expected a path in the working copy.")
            name = path.relative_to(top).as_posix()
            if path.exists() or self._git("ls-files", "--", name):  # what never was there has nothing to commit
                found.append(name)
        return found

    def marked(self, marker: str) -> dict[str, str]:
        """Commit -> the one that it takes back, or '', of those with this line in their message, newest first."""
        log = self._git("log", "-z", "--format=%H%n%B", "--fixed-strings", f"--grep={marker}")
        found = {}
        for entry in log.split("\0"):
            sha, *body = entry.splitlines() or [""]
            if marker in body:
                found[sha] = next((match[1] for line in body if (match := REVERTS.match(line))), "")
        return found

    def ours(self, marker: str) -> list[str]:
        """Of these, the commits that are not taken back, newest first."""
        marked = self.marked(marker)
        return [sha for sha, reverts in marked.items() if not reverts and sha not in marked.values()]

    def difference(self, paths: t.Sequence[str]) -> str:
        """What a commit of these files would change; new ones by name only."""
        return self._git("diff", "HEAD", "--", *paths) if paths else ""

    # -- writing -----------------------------------------------------------------------------------------------------
    def commit(self, files: t.Sequence[str], message: str) -> str:
        """The new commit, which holds these files and nothing else."""
        before = self.head()
        self._git("add", "--all", "--", *files)
        done = self._try("commit", "--quiet", "--message", message)
        if done.returncode:
            self._try("reset", "--quiet", "--", *files)
            raise Refusal("commit", f"repo: {self.path}: git commit: {done.stderr.strip() or done.stdout.strip()}")
        after = self.head()
        if self._git("rev-parse", f"{after}^").strip() != before:
            raise Refusal("conflict", f"repo: {self.path}: somebody else committed at the same time. Look at git log.")
        return after

    def revert(self, commit: str, marker: str) -> str:
        """The new commit, which takes that one back. Raises Refusal(conflict) where others have built upon it."""
        done = self._try("revert", "--no-edit", "--no-commit", commit)
        if done.returncode:
            self._try("revert", "--abort")
            raise Refusal(
                "conflict", f"repo: {self.path}: {commit[:12]} can't be taken back by itself, since its files were"
                f" changed later: {done.stderr.strip()}. Make them name blue by hand, and commit that.",
            )  # fmt: skip
        subject = self._git("show", "--no-patch", "--format=%s", commit).strip()
        message = f'Revert "{subject}"\n\nThis reverts commit {commit}.\n\n{marker}\n'
        done = self._try("commit", "--quiet", "--message", message)
        if done.returncode:
            self._try("revert", "--abort")
            raise Refusal("commit", f"repo: {self.path}: git commit: {done.stderr.strip() or done.stdout.strip()}")
        return self.head()

    # -- what was handed on --------------------------------------------------------------------------------------------
    def owes(self, name: str, marker: str) -> bool:
        """Whether the command has not succeeded yet with the newest commit of ours in place."""
        newest = next(iter(self.marked(marker)), None)
        return bool(newest) and bool(self._try("merge-base", "--is-ancestor", newest, _ref(name)).returncode)

    def hand_on(self, name: str, command: t.Sequence[str]) -> None:
        """Runs somebody's command, such as a push, and remembers in a ref of this working copy that it succeeded."""
        head = self.head()
        try:
            done = subprocess.run(command, cwd=self.path, env=_env(), capture_output=True, text=True, check=False)
        except OSError as exc:
            raise Refusal(
                "command", f"command: {command[0]}: {exc.strerror}. {head[:12]} is committed in {self.path}."
            ) from exc
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-1000:]
            raise Refusal(
                "command", f"command: {' '.join(command)} ended with {done.returncode}: {said}. {head[:12]} is"
                f" committed in {self.path}; the next run begins with this command.",
            )  # fmt: skip
        self._git("update-ref", _ref(name), head)

    # -- git ---------------------------------------------------------------------------------------------------------
    def _git(self, *arguments: str) -> str:
        done = self._try(*arguments)
        if done.returncode:
            raise Refusal("git", f"repo: {self.path}: git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def _try(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["git", "-C", str(self.path), *arguments], env=_env(), capture_output=True, text=True, check=False
            )
        except OSError as exc:
            raise Refusal("git", f"git can't be run: {exc.strerror}. Install it where this task runs.") from exc


def _ref(name: str) -> str:
    return f"refs/bluegreen-mesh/{name}"


def _env() -> dict[str, str]:
    """Nobody is there to answer, and messages are read."""
    return {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "LC_ALL": "C"}
