"""What becomes of names that a user's files have: shown as text on one line, and as names of files that we write."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

LONGEST = 120  # bytes of a file name before its ending; file systems allow 255 with everything that is added
# Control characters, bidirectional controls, bytes that are not UTF-8, what no font has, ends of lines and paragraphs.
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
JOINERS = "\u200c\u200d"  # they belong to the spelling of some languages, and to some emoji
DIGEST = re.compile(r"_[0-9a-f]{16}$")


def readable(text: str) -> str:
    """Return text as it may stand on one line of a terminal, a log or a picture: what cannot be seen is escaped.

    An escape sequence would move the cursor, a control character would turn the order of the letters round, and a line
    break would look like a message of its own.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_escaped, text))


def is_utf8(text: str) -> bool:
    """Tell whether a text can be written as UTF-8, unlike a lone surrogate and a name of other bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(letter: str) -> str:
    if unicodedata.category(letter) not in UNSEEN or letter in JOINERS:
        return letter
    byte = ord(letter) - 0xDC00  # Python reads a byte that is not UTF-8 as U+DC80 to U+DCFF
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else letter.encode("unicode_escape").decode()


def file_names(texts: Mapping[str, str], endings: Sequence[str] = ("",)) -> dict[str, str]:
    """Return item -> the name, without ending, of the files that are made of it.

    A name is the item's text with `_` for all but letters, digits, `.`, `_` and `-`. It has a digest of the item
    behind it where it is longer than `LONGEST` bytes, or where another item has the same name on a file system that
    does not tell upper from lower case.

    Args:
        texts: item -> what its files are to be called, as its own name.
        endings: what is put behind the name; a name with one of them is no other's name with another.
    """
    plain = {item: _plain(text) for item, text in texts.items()}
    used = Counter(_folded(name + ending) for name in plain.values() for ending in endings)
    return {
        item: name
        if len(name.encode()) <= LONGEST
        and not DIGEST.search(name)
        and all(used[_folded(name + ending)] == 1 for ending in endings)
        else f"{_cut(name)}_{hashlib.sha256(item.encode(errors='surrogateescape')).hexdigest()[:16]}"
        for item, name in plain.items()
    }


def _plain(item: str) -> str:
    return re.sub(r"^\.|[^\w.-]+", "_", unicodedata.normalize("NFC", item))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _cut(name: str) -> str:
    return name.encode()[:LONGEST].decode(errors="ignore")
