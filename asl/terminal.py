"""Names of strangers at a terminal: of signs, signers, runs and files."""


def printable(text: str) -> str:
    r"""The text with a space for each character that a terminal would obey; lines stay lines.

    An escape sequence could clear the screen, or set the title of the window.

    Example:
        >>> printable("run\x1b[2J of ana\u202e")
        'run [2J of ana '
    """
    return "".join(letter if letter.isprintable() or letter in "\n\t" else " " for letter in text)
