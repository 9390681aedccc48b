"""Learning faster from fewer labels needs more theory, which would guide the design of nets and optimizers.

Slide: Conclusions, its last line. It says what the field should do next, and why. A need is no measurement: whoever
designs by trial and error instead, and does well, has not shown that theory would not have served better, and a theory
that guided nobody would not show that none is needed. What can be asked of theory that is there
already is whether it holds and what it is worth, and that is what the entries on it test: bounds on the error (H32,
H33), measures of capacity and what they order (H28 to H31), and a threshold that tells which rate to choose (H5).
"""

from __future__ import annotations

from claimlab import Claim

CLAIM = Claim(
    id="conclusions/more-theory-is-needed",
    covers=("I7",),
    slide="Conclusions",
    version=1,
    finding="untestable",
    says="More theory is needed to guide the design of architectures and optimizers that learn faster from fewer "
    "labels.",
    statement="have to compare what will be designed with more theory with what would be designed without it.",
    reason="The sentence is advice on what to work on. No outcome of an experiment with today's nets could contradict "
    "it: a design that works without theory does not show that theory would not have led to a better one.",
    scope="theory that the deck states is tested where it is stated: bounds (H32, H33), what their numbers order (H28 "
    "to H31), and thresholds that tell how to choose a rate (H5)",
    source="the deck's own judgement",
)
