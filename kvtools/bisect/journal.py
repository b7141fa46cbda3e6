# SPDX-License-Identifier: GPL-2.0-or-later
"""The trials of a bisection on the disk: what a killed one has paid for is not lost."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from kvtools.bisect.observation import Observation, decode, encode
from kvtools.errors import MachineError
from kvtools.model import Json


class Journal:
    """``journal.jsonl``: what was asked in its first line, then an observation a line."""

    def __init__(self, path: Path, request: Mapping[str, Json]) -> None:
        """Raises MachineError when it cannot be written."""
        self.path = path
        self.trials: list[Observation] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._read()
            if not path.exists():
                self._append({"request": dict(request)})
        except OSError as error:
            raise MachineError(f"cannot write {path}: {error.strerror}") from error

    def _read(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):  # the line that was being written when it was killed
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        for line in whole.splitlines()[1:]:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self.trials.append(decode(json.loads(line)))
        if not whole:
            self.path.unlink()

    def add(self, observation: Observation) -> None:
        """On the disk when this returns."""
        self._append(encode(observation))
        self.trials.append(observation)

    def _append(self, data: Mapping[str, Json]) -> None:
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps(data).encode("utf-8", "surrogateescape") + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise MachineError(f"cannot write {self.path}: {error.strerror}") from error
