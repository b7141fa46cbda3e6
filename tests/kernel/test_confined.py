# SPDX-License-Identifier: GPL-2.0-or-later
"""A stranger's series on a real kernel: built and booted under bubblewrap.

The objects of a trusted run are never lent to a stranger's, so its base is built once more, as a
whole; that is why only one patch and one boot are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from harness import ROOT, Run

from kvtools import bwrap
from kvtools.errors import MachineError


@pytest.fixture(scope="module")
def confined() -> None:
    """Skips, with bwrap's reason, where it cannot run: a chroot that is no mount point."""
    try:
        bwrap.probe()
    except MachineError as error:
        pytest.skip(str(error))


def test_a_patch_of_an_mbox_is_built_and_booted_confined(
    confined: None, kvtest: Callable[..., Run], tmp_path: Path
) -> None:
    box = tmp_path / "virtio-mem.mbox"
    mails = sorted((ROOT / "patches/virtio-mem").glob("[0-9]*.patch"))
    box.write_bytes(b"".join(path.read_bytes() for path in mails))
    run = kvtest(box, "--untrusted", "--patches", "1", "--only", "build", "--only", "boot")
    assert run.code == 0, run.stdout
    for number in (0, 1):
        assert run.statuses(number)["build:guest"] in ("PASS", "WARN"), run.stdout
    assert run.statuses(1)["apply"] == run.statuses(1)["boot:guest"] == "PASS", run.stdout
    # Only what ran confined has lines that say so, for whoever runs them does it without.
    for cell in ("build:guest", "boot:guest"):
        assert "untrusted series" in run.outcome(1, cell)["details"]["reproduce"][0]
