# SPDX-License-Identifier: GPL-2.0-or-later
"""The mathematics of a bisection, pure: no git, no kernel, no clock.

A bisection looks for the first *new* commit of a history in which a failure appears (or, in a
search for a fix, vanishes). What it may conclude from a trial depends on how the check fails:

- on a broken commit it fails with an unknown rate q; :class:`Flakes` is the belief about q, a
  spike at 1 (the failure is deterministic) and a flat density down to the lowest rate;
- on a sound commit it fails with the rate ``noise``, which is 0 unless the user says otherwise.

:class:`Posterior` weighs every candidate by all trials so far, :func:`choose` names the commit
whose next trial tells most for its cost. One FAIL (noise 0) proves that a commit is broken; one
PASS proves nothing unless the failure is deterministic, and is weighed accordingly.
"""

from kvtools.bisection.choice import Costs, choose
from kvtools.bisection.flakes import DETERMINISTIC, Flakes
from kvtools.bisection.history import Commit, History
from kvtools.bisection.posterior import Answer, Group, Posterior

__all__ = ["DETERMINISTIC", "Answer", "Commit", "Costs", "Flakes", "Group", "History",
           "Posterior", "choose"]
