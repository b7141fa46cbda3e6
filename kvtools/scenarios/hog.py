# SPDX-License-Identifier: GPL-2.0-or-later
"""A process in the guest that holds memory (``kvtools/guest/hog.py``), driven from the host."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from kvtools import ktap
from kvtools.model import Status
from kvtools.scenarios.base import GUEST, Guest, Unanswered

PROGRAM = f"python3 -S -E {shlex.quote(str(GUEST / 'hog.py'))}"
FILL_DEADLINE = 60.0
CHECK_DEADLINE = 30.0
GONE = "# gone"


@dataclass(frozen=True, slots=True)
class Answer:
    """``intact``: the hog lives and what it holds is what it wrote; ``said`` is why not."""

    intact: bool
    said: str


class Hog:
    """A hog that has filled its memory. Raises Unanswered when it could not be started."""

    def __init__(self, guest: Guest, *words: str | int, name: str = "hog") -> None:
        """``words`` are the arguments of ``hog.py``; hogs of one guest need names of their own."""
        self._guest = guest
        self.name = name
        self._folder = f"/run/kvtools/{name}"
        self._asked = 1
        arguments = " ".join(map(str, words))
        started = guest.sh(
            f"d={self._folder}; rm -rf $d; mkdir -p $d && mkfifo $d/in && "
            f"{{ setsid {PROGRAM} {arguments} <>$d/in >$d/out 2>&1 & echo $! >$d/pid; }}"
        )
        filled = self._answer(FILL_DEADLINE) if started.ok else started.complaint
        if not filled.endswith("ok 1 filled"):
            raise Unanswered(name, f"{' '.join(map(str, words))}: {_last(filled)}")

    def check(self) -> Answer:
        """Compare what it holds with what it wrote."""
        return self._ask("check")

    def end(self) -> Answer:
        """Compare, and have it exit; its memory is free when this returns."""
        answer = self._ask("end")
        self._guest.poll(self._said, lambda said: GONE in said, CHECK_DEADLINE)
        return answer

    def _ask(self, command: str) -> Answer:
        self._asked += 1
        # "1<>": a FIFO that nobody reads any more must not stop the shell.
        self._guest.sh(f"echo {command} 1<>{self._folder}/in")
        said = self._answer(CHECK_DEADLINE)
        tests = ktap.parse(said).subtests
        if len(tests) < self._asked:
            what = "was killed" if GONE in said else "does not answer"
            return Answer(False, f"the {self.name} {what}: {_last(said)}")
        test = tests[self._asked - 1]
        return Answer(test.status is Status.PASS, "; ".join(test.diagnostics))

    def _answer(self, deadline: float) -> str:
        """What it has said, once it has answered everything or is gone."""

        def complete(said: str) -> bool:
            return GONE in said or said.count("ok ") >= self._asked

        return self._guest.poll(self._said, complete, deadline).value.strip()

    def _said(self) -> str:
        # Nothing but builtins: it is asked often, and a fork costs much under emulation. A
        # zombie has no memory any more.
        return self._guest.sh(
            f"cd {self._folder}; read -r pid <pid; size=0; "
            "read -r size rest 2>/dev/null </proc/$pid/statm; "
            'while read -r line; do echo "$line"; done <out; '
            f"[ $size != 0 ] || echo '{GONE}'"
        ).text


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if line != GONE]
    return lines[-1].strip() if lines else "it said nothing"
