# SPDX-License-Identifier: GPL-2.0-or-later
"""Negative controls: a kernel broken in one place makes exactly its cell FAIL."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import DATA, Run

KERNEL = DATA / "kernel"
CELLS = {
    "break-boot.patch": "boot:guest",
    "break-vmem-probe.patch": "selftest:vmem.probe",
    "break-vmem-resize.patch": "selftest:vmem.resize",
    "break-balloon-offline.patch": "selftest:balloon.offline",
    "break-memory-hotplug.patch": "selftest:kselftest:memory-hotplug",
}

VMEM = tuple(
    f"selftest:vmem.{name}"
    for name in ("sysfs", "granularity", "partial-section", "numa")
)
"""break-vmem.patch has a defect for every scenario but probe; these see theirs in two minutes. Seen
to FAIL on it as well: flap (198 s) and two-devices (125 s). break-vmem-module.patch has those of
suspend and hwpoison, which need config guest-module, a kernel more to build: seen to FAIL by
``kvtools test tests/data/kernel/break-vmem-module.patch --base oracle --config guest-module``."""


def only(*cells: str) -> list[str]:
    return [word for cell in cells for word in ("--only", cell)]


@pytest.mark.parametrize(("patch", "cell"), CELLS.items(), ids=list(CELLS))
def test_a_broken_kernel_fails_exactly_its_cell(
    oracle: Run, kvtest: Callable[..., Run], patch: str, cell: str
) -> None:
    run = kvtest(KERNEL / patch, "--base", "oracle", *only(*CELLS.values()))
    assert run.code == 1, run.stdout
    statuses = {c: s for c, s in run.statuses(1).items() if not c.startswith("check:")}
    assert {c for c, s in statuses.items() if s == "FAIL"} == {cell}, run.stdout
    rest = {s for c, s in statuses.items() if c != cell}
    # What needs a boot cannot run without one; it is not blamed a second time.
    assert rest <= ({"PASS", "SKIP"} if cell == "boot:guest" else {"PASS"}), run.stdout
    assert run.outcome(1, cell)["details"]["owner"] == "patch"
    assert run.outcome(1, cell)["details"]["evidence"], "a FAIL names its log lines"
    assert run.data["status"] == "FAIL"


def test_a_compile_error_names_file_and_line(oracle: Run, kvtest: Callable[..., Run]) -> None:
    run = kvtest(KERNEL / "break-build.patch", "--base", "oracle", "--only", "boot")
    assert run.code == 1
    cell = run.outcome(1, "build:guest")
    assert cell["status"] == "FAIL"
    assert ".c:" in cell["summary"] and "error" in cell["summary"]
    assert run.statuses(1)["boot:guest"] == "SKIP"


def test_a_mended_patch_is_built_from_where_the_broken_one_began(
    oracle: Run, kvtest: Callable[..., Run]
) -> None:
    kvtest("--base", "oracle", "--only", "build", "--no-reuse")  # now the objects are known
    run = kvtest(KERNEL / "break-build-header.patch", "--base", "oracle", "--only", "build")
    assert run.outcome(1, "build:guest")["status"] == "FAIL"
    run = kvtest(KERNEL / "mended-build-header.patch", "--base", "oracle", "--only", "build")
    cell = run.outcome(1, "build:guest")
    assert cell["status"] == "PASS", run.stdout
    # All of the kernel's 1100 objects read the header.
    assert cell["details"]["objects_built"] < 100, run.stdout
    assert cell["details"]["objects_spared"] > 500, run.stdout


def test_make_is_not_called_for_what_it_does_not_read(
    oracle: Run, kvtest: Callable[..., Run]
) -> None:
    """And where it is called, on the same objects, it finds nothing to do."""
    for switch, called in (("--header-aware", False), ("--no-header-aware", True)):
        run = kvtest(KERNEL / "unread.patch", "--base", "oracle", "--only", "build", "--no-reuse",
                     switch)
        base, built = (run.outcome(row, "build:guest")["details"] for row in (0, 1))
        assert (built["make_called"], built["objects_built"]) == (called, 0), run.stdout
        assert built["image_sha256"] == base["image_sha256"]


def test_a_new_warning_is_the_patchs(oracle: Run, kvtest: Callable[..., Run]) -> None:
    run = kvtest(KERNEL / "add-warning.patch", "--base", "oracle", "--only", "build")
    assert run.code == 0
    cell = run.outcome(1, "build:guest")
    assert cell["status"] == "WARN", run.stdout
    assert len(cell["details"]["new"]) == 1


def test_a_splat_fails_the_cell_whatever_the_test_said(
    oracle: Run, kvtest: Callable[..., Run]
) -> None:
    run = kvtest(KERNEL / "add-splat.patch", "--base", "oracle", "--only", "boot")
    assert run.code == 1
    cell = run.outcome(1, "boot:guest")
    assert cell["status"] == "FAIL"
    assert "WARNING in " in cell["summary"]


def test_each_vmem_scenario_sees_its_own_defect(oracle: Run, kvtest: Callable[..., Run]) -> None:
    probe = "selftest:vmem.probe"
    run = kvtest(KERNEL / "break-vmem.patch", "--base", "oracle", *only(*VMEM, probe))
    assert run.code == 1, run.stdout
    statuses = run.statuses(1)
    assert {c: statuses[c] for c in VMEM} == dict.fromkeys(VMEM, "FAIL"), run.stdout
    assert statuses[probe] == "PASS", run.stdout
    for cell in VMEM:
        assert run.outcome(1, cell)["details"]["owner"] == "patch", cell
