"""Random numbers from one generator, which a checkpoint can keep."""

import torch


class Draws:
    """Single random numbers.

    Parameters
    ----------
    generator
        Source of randomness, on the CPU; its state is all the state there is.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def chance(self, share: float) -> bool:
        """True in this share of all cases."""
        return self.uniform(0, 1) < share

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def below(self, count: int) -> int:
        """A whole number from 0 to `count` - 1."""
        return self.integer(0, count - 1)
