"""Words that sentences share."""


def counted(count: int, one: str) -> str:
    """A number with its noun: "1 pixel", "12 pixels"."""
    return f"{count} {one}{'' if count == 1 else 's'}"
