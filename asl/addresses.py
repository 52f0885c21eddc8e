"""Addresses of databases and servers as they may be printed, logged and recorded."""

import re

_USER = re.compile(r"://(?!/)(?:([^/@:\s'\"]*):)?[^\s'\"]*@")
_QUERY = re.compile(r"([?&][\w-]*(?:passw|pwd|token|secret|key)[\w-]*=)[^&\s'\"]*", re.IGNORECASE)


def without_passwords(text: str) -> str:
    """The text with the passwords and tokens of its addresses replaced by stars.

    Example:
        >>> without_passwords("postgresql://anna:pa/ss@host/db, http://TOKEN@host?key=1")
        'postgresql://anna:***@host/db, http://***@host?key=***'
    """
    text = _USER.sub(lambda match: f"://{match[1]}:***@" if match[1] else "://***@", text)
    return _QUERY.sub(r"\1***", text)
