# SPDX-License-Identifier: GPL-2.0-or-later
"""Outcomes by content, and the journals of runs, as plain files.

::

    STATE/outcomes/<2>/<key>.<n>/outcome.json, logs, images     the newest n counts
    STATE/runs/<id>/journal.jsonl, report.json, errors/
    STATE/twins/<2>/<name>                                      see kvtools.twins
    STATE/tmp/<pid>-<random>/                                   being written

A directory appears under its name only by rename(2) once it is whole, so a run killed at
any instant leaves nothing half-written; what is in ``tmp`` of a dead process is removed by
the next one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kvtools.errors import MachineError
from kvtools.model import Outcome, Owner, Status, Step

FORMAT = 1


def key(**parts: Any) -> str:
    """The content key of an outcome: SHA-256 over the canonical JSON of what it depends on."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def encode(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON data; ``directory`` and ``reused`` are not part of it."""
    data = asdict(outcome)
    del data["directory"], data["reused"]
    return data


def decode(data: Mapping[str, Any], directory: Path | None = None) -> Outcome:
    """The reverse of :func:`encode`. Raises KeyError, ValueError or TypeError on other data."""
    fields = dict(data)
    fields["step"] = Step(fields["step"])
    fields["status"] = Status(fields["status"])
    fields["owner"] = Owner(fields["owner"]) if fields.get("owner") else None
    for name in ("evidence", "reproduce", "fingerprints"):
        fields[name] = tuple(fields.get(name, ()))
    return Outcome(**fields, directory=directory)


@contextlib.contextmanager
def _disk(where: Path) -> Iterator[None]:
    """Say which disk is full, or which directory cannot be written, instead of a traceback."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError(
                f"no space left on the disk of {where}",
                fix="free some, or set KVTOOLS_HOME to another disk",
            ) from error
        raise MachineError(f"cannot write {where}: {error.strerror}") from error


def locked(file: Path) -> bool:
    """Whether a process holds the lock ``file``."""
    if not file.exists():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


class Store:
    """Outcomes and runs under one directory, safe for several processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with _disk(root):
            for name in ("outcomes", "runs", "tmp"):
                (root / name).mkdir(parents=True, exist_ok=True)
            self._sweep()

    def _sweep(self) -> None:
        for path in (self.root / "tmp").iterdir():
            pid = path.name.partition("-")[0]
            if pid.isdigit() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(path, ignore_errors=True)

    def begin(self) -> Path:
        """A fresh directory for a step to leave its files in."""
        with _disk(self.root):
            return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self.root / "tmp"))

    def discard(self, directory: Path) -> None:
        """Drop what :meth:`begin` gave."""
        shutil.rmtree(directory, ignore_errors=True)

    def get(self, outcome_key: str) -> Outcome | None:
        """The newest stored outcome of that key, marked as reused; None if there is none."""
        for directory in reversed(self._generations(outcome_key)):
            try:
                file = directory / "outcome.json"
                data = json.loads(file.read_bytes())
                os.utime(file)  # when it was last of use, see entries()
                return replace(decode(data, directory), reused=True)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # pruned meanwhile, or written by another version
        return None

    def every(self, outcome_key: str) -> list[Outcome]:
        """All stored outcomes of that key, oldest first: each is a run of its own."""
        found = []
        for directory in self._generations(outcome_key):
            try:
                data = json.loads((directory / "outcome.json").read_bytes())
                found.append(replace(decode(data, directory), reused=True))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # as in get()
        return found

    def put(self, outcome_key: str, outcome: Outcome, directory: Path) -> Outcome:
        """Commit ``directory`` (from :meth:`begin`) as the outcome of that key."""
        self._seal(directory, outcome)
        generations = self._generations(outcome_key)
        number = int(generations[-1].suffix[1:]) + 1 if generations else 0
        parent = self.root / "outcomes" / outcome_key[:2]
        with _disk(parent):
            parent.mkdir(exist_ok=True)
            while True:
                final = parent / f"{outcome_key}.{number}"
                try:
                    directory.rename(final)
                    break
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    number += 1
        return replace(outcome, directory=final)

    def put_error(self, run_id: str, row: int, outcome: Outcome, directory: Path) -> Outcome:
        """Keep the files of an ERROR with its run: it is never reused."""
        self._seal(directory, outcome)
        parent = self.root / "runs" / run_id / "errors"
        with _disk(parent):
            parent.mkdir(parents=True, exist_ok=True)
            name = re.sub(r"[^\w.@-]", "_", f"{row}-{outcome.cell}")
            final = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=parent))
            directory.rename(final)
        return replace(outcome, directory=final)

    def _seal(self, directory: Path, outcome: Outcome) -> None:
        with _disk(directory):
            write_json(directory / "outcome.json", encode(outcome))

    def _generations(self, outcome_key: str) -> list[Path]:
        parent = self.root / "outcomes" / outcome_key[:2]
        return sorted(parent.glob(f"{outcome_key}.*"), key=lambda p: int(p.suffix[1:]))

    def twin(self, name: str) -> str | None:
        """The git tree that was last said to be built under that name."""
        try:
            return self._twin_file(name).read_text("ascii")
        except (OSError, ValueError):
            return None

    def know_twin(self, name: str, tree: str) -> None:
        """From now on :meth:`twin` of ``name`` is ``tree``."""
        path = self._twin_file(name)
        with _disk(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, tree)

    def forget_twins(self, before: float) -> None:
        """Remove the names that were last given before a time (seconds since 1970)."""
        for path in (self.root / "twins").glob("*/*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _twin_file(self, name: str) -> Path:
        return self.root / "twins" / name[:2] / name

    # Runs

    def run_directory(self, run_id: str) -> Path:
        """The directory of a run, made if it is not there."""
        path = self.root / "runs" / run_id
        with _disk(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def claim_run(self, run_id: str) -> bool:
        """Make the directory of a new run; False when there is one of that id."""
        path = self.root / "runs" / run_id
        with _disk(path):
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                return False
        return True

    def discard_run(self, run_id: str) -> None:
        """Remove a run that only applied patches and leaves no report."""
        if not self.report_file(run_id).exists():
            shutil.rmtree(self.root / "runs" / run_id, ignore_errors=True)

    def report_file(self, run_id: str) -> Path:
        """Where the report of a finished run lies."""
        return self.root / "runs" / run_id / "report.json"

    def put_report(self, run_id: str, text: str) -> None:
        """Store the report of a finished run."""
        self.run_directory(run_id)
        with _disk(self.root):
            replace_file(self.report_file(run_id), text)

    def put_head(self, run_id: str, text: str) -> None:
        """Store what is known of a run at its start: a report without outcomes."""
        with _disk(self.root):
            replace_file(self.run_directory(run_id) / "head.json", text)

    def head_file(self, run_id: str) -> Path:
        """Where :meth:`put_head` wrote."""
        return self.root / "runs" / run_id / "head.json"

    def journalled(self, run_id: str) -> Iterator[tuple[int, Outcome]]:
        """The (row, judged outcome) of a run so far, in the order in which they ended."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.root / "runs" / run_id / "journal.jsonl").read_bytes().splitlines()
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError):  # cut off by a kill
                    entry = json.loads(line)
                    where = Path(entry["directory"]) if entry["directory"] else None
                    yield entry["row"], decode(entry["outcome"], where)

    def runs(self) -> list[str]:
        """The ids of all runs, oldest first."""
        return sorted(p.name for p in (self.root / "runs").iterdir() if p.is_dir())

    def journal(self, run_id: str, entry: Mapping[str, Any], *, sync: bool = True) -> None:
        """Append one line to a run's journal, with ``sync`` on the disk when this returns."""
        path = self.run_directory(run_id) / "journal.jsonl"
        with _disk(path), path.open("ab") as file:
            file.write(json.dumps(entry).encode("utf-8", "surrogateescape") + b"\n")
            file.flush()
            if sync:
                os.fsync(file.fileno())

    @contextlib.contextmanager
    def running(self, run_id: str) -> Iterator[None]:
        """Mark a run as under way; the mark goes with the process, even after SIGKILL."""
        with _disk(self.root):
            lock = FileLock(self.run_directory(run_id) / "lock")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def is_running(self, run_id: str) -> bool:
        """Whether a process is at work on that run now."""
        return locked(self.root / "runs" / run_id / "lock")

    # What it holds

    def entries(self) -> Iterator[tuple[Path, float]]:
        """Every stored outcome's directory and when it was last of use (seconds since 1970)."""
        for directory in (self.root / "outcomes").glob("*/*"):
            with contextlib.suppress(OSError):  # pruned meanwhile
                yield directory, (directory / "outcome.json").stat().st_mtime

    def forget(self, directory: Path) -> None:
        """Remove a stored outcome; never half of it is seen."""
        with _disk(self.root):
            grave = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self.root / "tmp"))
            with contextlib.suppress(FileNotFoundError):
                directory.rename(grave / directory.name)
        shutil.rmtree(grave, ignore_errors=True)

    # How long cells took, for the time left

    def timings(self) -> dict[str, float]:
        """Seconds that each cell took when it last ran, by cell name."""
        try:
            data = json.loads((self.root / "timings.json").read_bytes())
            return {str(k): float(v) for k, v in data.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def remember_timings(self, timings: Mapping[str, float]) -> None:
        """Add to :meth:`timings`."""
        with _disk(self.root):
            write_json(self.root / "timings.json", {**self.timings(), **timings})


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that ``path`` is either the old or the new whole file."""
    replace_file(path, json.dumps(data, indent=1) + "\n")


def replace_file(path: Path, text: str) -> None:
    """Write ``text`` so that ``path`` is either the old or the new whole file."""
    descriptor, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
