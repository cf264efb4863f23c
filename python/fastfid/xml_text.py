"""Text for XML."""

import re

# What XML 1.0 does not allow in any form: most control characters, and halves of surrogate pairs.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    r"""Return a text with a replacement for each character that XML does not allow; it is not escaped.

    Examples
    --------
    >>> xml_text("a\x1bb")
    'a\ufffdb'
    """
    return _FORBIDDEN.sub("\ufffd", text)
