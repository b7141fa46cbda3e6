# SPDX-License-Identifier: GPL-2.0-or-later
"""The first bad commit, right even when the check is flaky; the reasoning is in docs/bisect.md.

:mod:`.search` asks a :class:`~kvtools.bisect.observation.Tester` for trials until the posterior
of :mod:`kvtools.bisection` is sure; :mod:`.kernels` is the tester that builds and boots.
"""
