# SPDX-License-Identifier: GPL-2.0-or-later
"""The branch that b4 sends: a repository of its own with the series on its base.

Everything of the mails but the text of the cover letter is b4's work: numbering, threading,
Message-IDs, diffstat, trailers from replies, sending (https://b4.docs.kernel.org).
"""

from __future__ import annotations

import json
from pathlib import Path

from kvtools import git, process
from kvtools.errors import MachineError, UserError
from kvtools.git.command import WRITE
from kvtools.git.command import git as run_git
from kvtools.model import Person

DEADLINE = 300.0
BASE = "base"
_SPARSE = ("/MAINTAINERS",)


class Branch:
    """The branch ``name`` of the repository at ``path``."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name

    @classmethod
    def make(cls, path: Path, name: str, source: Path, base: str, tip: str,
             sender: Person) -> Branch:
        """Borrow the objects of ``source``; the branch is at ``tip`` and begins after ``base``."""
        run_git(source, "clone", "--quiet", "--shared", "--no-checkout", ".", str(path.absolute()))
        run_git(path, "remote", "remove", "origin")  # b4 asks which branch the base is of
        made = cls(path, name)
        for key, value in (("user.name", sender.name), ("user.email", sender.email),
                           ("b4.prep-cover-strategy", "branch-description"), ("gc.auto", "0"),
                           ("core.hooksPath", "/dev/null")):
            run_git(path, "config", key, value)
        # A whole kernel tree is 1.5 GB, and nothing here reads its files.
        run_git(path, "sparse-checkout", "set", "--no-cone", *_SPARSE)
        run_git(path, "branch", "--force", BASE, base)
        run_git(path, "checkout", "--quiet", "-B", name, tip, deadline=WRITE)
        made._b4("prep", "--enroll", base)
        return made

    @classmethod
    def at(cls, path: Path) -> Branch:
        """Raises UserError when there is none: it was not made by :meth:`make`."""
        if not (path / ".git").is_dir():
            raise UserError(f"{path} is not there", fix="kvtools submit prepare makes it")
        return cls(path, run_git(path, "symbolic-ref", "--short", "HEAD").text.strip())

    @property
    def tip(self) -> str:
        return git.rev_parse(self.path, self.name)

    def describe(self, text: str) -> None:
        """Set the cover letter."""
        run_git(self.path, "config", f"branch.{self.name}.description", text)

    def track(self, *, revision: int, change_id: str | None, resend: bool) -> None:
        """Go on with the series that was sent before under ``change_id``."""
        if change_id:
            key = f"branch.{self.name}.b4-tracking"
            tracked = json.loads(run_git(self.path, "config", key).text)
            tracked["series"]["change-id"] = change_id
            run_git(self.path, "config", key, json.dumps(tracked))
        if revision > 1:
            self._b4("prep", "--force-revision", str(revision))
        if resend:
            self._b4("prep", "--add-prefixes", "RESEND")

    def take_trailers(self, mailbox: Path) -> str:
        """Add what reviewers replied with; returns what b4 says of it."""
        return self._b4("trailers", "--update", "--use-local-mbox", str(mailbox.absolute()))

    def write(self, directory: Path) -> tuple[Path, ...]:
        """Have b4 write the mails, the cover letter first; nothing is sent."""
        directory.mkdir(parents=True, exist_ok=True)
        for stale in directory.glob("*.eml"):
            stale.unlink()
        self._b4("send", "--no-sign", "--output-dir", str(directory.absolute()))
        found = tuple(sorted(directory.glob("*.eml")))
        if not found:
            raise MachineError("b4 send wrote no mails", fix=f"run b4 send -o DIR in {self.path}")
        return found

    def applies(self, mails: tuple[Path, ...], base: str, tree: str) -> bool:
        """Whether ``git am`` of the mails makes the tree that was tested."""
        run_git(self.path, "checkout", "--quiet", "--detach", base, deadline=WRITE)
        try:
            done = run_git(self.path, "am", "--quiet", "--no-3way",
                           *(str(mail.absolute()) for mail in mails[1:] or mails),
                           check=False, deadline=WRITE)
            if done.returncode != 0:
                run_git(self.path, "am", "--abort", check=False)
                return False
            return git.tree_of(self.path, "HEAD") == tree
        finally:
            run_git(self.path, "checkout", "--quiet", "--force", self.name, deadline=WRITE)

    def send(self) -> int:
        """Hand over to b4, with the user's own mail settings and terminal."""
        return process.foreground(["b4", "send"], cwd=self.path)

    def _b4(self, *words: str) -> str:
        """Offline: nothing that b4 would look up on the network is needed to write mails."""
        done = process.run(["b4", "--offline-mode", "--no-interactive", *words], deadline=DEADLINE,
                           cwd=self.path, check=False)
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        if done.returncode != 0:
            last = said.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            raise MachineError(f"b4 {words[0]}: {last[0]}",
                               fix=f"run b4 {' '.join(words)} in {self.path}")
        return said
