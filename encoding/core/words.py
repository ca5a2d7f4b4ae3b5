"""Numbers in sentences."""


def count(n: int, word: str = "such row", plural: str = "") -> str:
    """Write a number and what it is of."""
    return f"{n:,} {word if n == 1 else plural or f'{word}s'}"
