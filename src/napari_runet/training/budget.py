"""How long to train: a time, or a number of training steps."""

import time


class Budget:
    """Counts down from now.

    Parameters
    ----------
    seconds
        Time to train, where `training_steps` is None.
    training_steps
        Steps to train.
    parent
        The budget that this one is a part of; steps count in both.
    """

    def __init__(self, seconds: float, training_steps: int | None = None, parent: "Budget | None" = None) -> None:
        self.seconds = seconds
        self.training_steps = training_steps
        self.parent = parent
        self.done = 0
        self._started = time.monotonic()
        self._first = self._started

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def progress(self) -> float:
        """How much is used up, from 0 to 1."""
        if self.training_steps is None:
            return min(1.0, self.elapsed / self.seconds)
        return min(1.0, self.done / self.training_steps)

    @property
    def left(self) -> float | None:
        """About how many seconds are left; None until it can be told from the steps."""
        if self.training_steps is None:
            return max(0.0, self.seconds - self.elapsed)
        if self.done < 2:
            return None
        # since the first step: what was prepared before it is not done again
        return (time.monotonic() - self._first) / (self.done - 1) * max(0, self.training_steps - self.done)

    def count(self) -> None:
        """A training step was done."""
        self.done += 1
        if self.done == 1:
            self._first = time.monotonic()
        if self.parent is not None:
            self.parent.count()

    def part(self, share: float) -> "Budget":
        """A share of what is left, from now on."""
        if self.training_steps is None:
            return Budget(max(0.001, share * (self.seconds - self.elapsed)), None, self)
        return Budget(self.seconds, max(1, round(share * (self.training_steps - self.done))), self)
