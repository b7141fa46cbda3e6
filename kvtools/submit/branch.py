# SPDX-License-Identifier: GPL-2.0-or-later
"""The branch that b4 sends: a repository of its own with the series on its base.

Everything of the mails but the text of the cover letter is b4's work: numbering, threading,
Message-IDs, diffstat, trailers from replies, sending (https://b4.docs.kernel.org).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from kvtools import git, process
from kvtools.errors import MachineError, UserError
from kvtools.git.command import WRITE
from kvtools.git.command import git as run_git
from kvtools.model import Person

DEADLINE = 300.0
BASE = "kvtools/base"  # the name of a series has no slash
_SPARSE = ("/MAINTAINERS",)
_OURS = "kvtools.submission"
_COMPARED = "--format=%T%x00%an <%ae>%x00%B"


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
                           ("core.hooksPath", "/dev/null"), (_OURS, "true")):
            run_git(path, "config", key, value)
        # A whole kernel tree is 1.5 GB, and nothing here reads its files.
        run_git(path, "sparse-checkout", "set", "--no-cone", *_SPARSE)
        run_git(path, "branch", "--force", BASE, base)
        run_git(path, "checkout", "--quiet", "-B", name, tip, deadline=WRITE)
        for other in run_git(path, "for-each-ref", "--format=%(refname:short)",
                             "refs/heads").text.split():
            if other not in (BASE, name):  # clone made one of the HEAD of the source
                run_git(path, "branch", "--quiet", "-D", other)
        made._b4("prep", "--enroll", base)
        return made

    @classmethod
    def at(cls, path: Path) -> Branch:
        """Raises UserError when there is none: it was not made by :meth:`make`."""
        if not (path / ".git").is_dir():
            raise UserError(f"{path} is not there", fix="kvtools submit prepare makes it")
        return cls(path, run_git(path, "symbolic-ref", "--short", "HEAD").text.strip())

    @staticmethod
    def discard(path: Path) -> None:
        """Remove what a :meth:`make` left that did not come to its end; nothing that is not ours.

        Raises UserError when something else is there.
        """
        if not path.exists():
            return
        known = path / ".git/config"
        if not known.is_file() or run_git(path, "config", "--file", str(known.absolute()), _OURS,
                                          check=False).text.strip() != "true":
            raise UserError(f"{path} is in the way", fix="name another --output")
        shutil.rmtree(path)

    @property
    def sent(self) -> tuple[str, ...]:
        """The tags that b4 set when it sent, as ``sent/mm-v1``."""
        return tuple(run_git(self.path, "tag", "--list", "sent/*").text.split())

    @property
    def tip(self) -> str:
        return git.rev_parse(self.path, self.name)

    def describe(self, text: str) -> None:
        """Set the cover letter."""
        run_git(self.path, "config", f"branch.{self.name}.description", text)

    def track(self, *, revision: int, change_id: str | None,
              prefixes: Sequence[str] = ()) -> None:
        """Go on with the series that was sent before under ``change_id``."""
        if change_id:
            key = f"branch.{self.name}.b4-tracking"
            tracked = json.loads(run_git(self.path, "config", key).text)
            tracked["series"]["change-id"] = change_id
            run_git(self.path, "config", key, json.dumps(tracked))
        if revision > 1:
            self._b4("prep", "--force-revision", str(revision))
        if prefixes:
            self._b4("prep", "--set-prefixes", *prefixes)

    def take_trailers(self, mailbox: Path) -> str:
        """Add what reviewers replied with; returns what b4 says of it.

        b4 rewrites no commit that somebody else committed, and ours are by their authors.
        """
        mine = run_git(self.path, "config", "user.email").text.strip()
        committers = run_git(self.path, "log", "--format=%ce", f"{BASE}..{self.name}").text.split()
        if set(committers) != {mine}:
            self._b4("prep", "--claim")
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
        """Whether ``git am`` of the mails makes the tree that was tested, and of each mail the
        commit that it was made of: tree, author and message.
        """
        meant = self._commits(base, self.name)
        run_git(self.path, "checkout", "--quiet", "--detach", base, deadline=WRITE)
        try:
            done = run_git(self.path, "am", "--quiet", "--no-3way",
                           *(str(mail.absolute()) for mail in mails[1:] or mails),
                           check=False, deadline=WRITE)
            if done.returncode != 0:
                run_git(self.path, "am", "--abort", check=False)
                return False
            return git.tree_of(self.path, "HEAD") == tree and self._commits(base, "HEAD") == meant
        finally:
            run_git(self.path, "checkout", "--quiet", "--force", self.name, deadline=WRITE)

    def _commits(self, base: str, tip: str) -> str:
        return run_git(self.path, "log", "--reverse", _COMPARED, f"{base}..{tip}").text

    def send(self) -> int:
        """Hand over to b4, with the user's own mail settings and terminal.

        b4 signs, and gives up where there is no key to sign with.
        """
        keys = [run_git(self.path, "config", key, check=False).text.strip()
                for key in ("user.signingKey", "patatt.signingKey")]
        sign = [] if any(keys) else ["--no-sign"]
        return process.foreground(["b4", "send", *sign], cwd=self.path)

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
