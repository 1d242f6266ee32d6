"""The values of a figure in several rounds, and what they come to."""
import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Spread:
    """`values` are in the order of the rounds: those of one round compare."""
    values: tuple

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def lowest(self):
        return min(self.values)

    @property
    def highest(self):
        return max(self.values)

    def over(self, other):
        """How many times the other it is, round by round."""
        return Spread(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def __str__(self):
        if self.lowest == self.highest:
            return number(self.median)
        return f"{number(self.median)} ({number(self.lowest)}–{number(self.highest)})"


def spreads(rounds):
    """{figure: Spread} of [{figure: value}], one of each round."""
    return {figure: Spread(tuple(one[figure] for one in rounds)) for figure in rounds[0]}


def percentile(values, percent):
    """The smallest value that so many percent of them do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def number(value):
    """Three digits that count, and no more than a reader needs."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"
