"""Names of strangers as text: of signs, signers, runs and files."""


def printable(text: str) -> str:
    r"""The text with a space for each character that a terminal would obey; lines stay lines.

    An escape sequence could clear the screen, or set the title of the window.

    Example:
        >>> printable("run\x1b[2J of ana\u202e")
        'run [2J of ana '
    """
    return "".join(letter if letter.isprintable() or letter in "\n\t" else " " for letter in text)


def encodable(text: str) -> str:
    r"""The text with `\udcff`, as JSON has it, for what UTF-8 has no bytes for.

    That is half a character in a JSON file, or a byte of a file's name that is no UTF-8.

    Example:
        >>> print(encodable("\udcff.mp4"))
        \udcff.mp4
    """
    return text.encode(errors="backslashreplace").decode()
