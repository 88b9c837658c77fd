"""Write a JAR with Spark's Jackson under the name by which the runtime of Iceberg looks for it.

The runtime of the package `snowpark-connect-deps-iceberg` lacks the copy of Jackson that Iceberg ships. This is for
tests only. A Python of .venv-spark runs this file: JAR.
"""

from __future__ import annotations

import struct
import sys
import zipfile
from pathlib import Path

import pyspark

OLD, NEW = b"com/fasterxml/jackson", b"org/apache/iceberg/shaded/com/fasterxml/jackson"
UTF8 = 1
SIZES = {3: 5, 4: 5, 5: 9, 6: 9, 7: 3, 8: 3, 9: 5, 10: 5, 11: 5, 12: 5, 15: 4, 16: 3, 17: 5, 18: 5, 19: 3, 20: 3}
"""The bytes of each kind of constant in a class file, by its tag; texts have their length in front."""
TWO_PLACES = {5, 6}
"""Longs and doubles count twice."""


def rename(data: bytes) -> bytes:
    """Return a class file with the new name in all its texts."""
    (count,) = struct.unpack(">H", data[8:10])
    made, place, number = bytearray(data[:10]), 10, 1
    while number < count:
        tag = data[place]
        if tag == UTF8:
            (length,) = struct.unpack(">H", data[place + 1 : place + 3])
            text = data[place + 3 : place + 3 + length].replace(OLD, NEW)
            text = text.replace(OLD.replace(b"/", b"."), NEW.replace(b"/", b"."))
            made += bytes([UTF8]) + struct.pack(">H", len(text)) + text
            place += 3 + length
        else:
            made += data[place : place + SIZES[tag]]
            place += SIZES[tag]
            number += tag in TWO_PLACES
        number += 1
    return bytes(made + data[place:])


def main() -> None:
    """Write the JAR."""
    jars = Path(pyspark.__file__).parent / "jars"
    parts = [next(jars.glob(f"jackson-{name}-2*.jar")) for name in ("core", "databind", "annotations")]
    with zipfile.ZipFile(sys.argv[1], "w") as made:
        for part in parts:
            with zipfile.ZipFile(part) as given:
                for name in given.namelist():
                    if name.startswith(OLD.decode()) and name.endswith(".class"):
                        made.writestr(name.replace(OLD.decode(), NEW.decode()), rename(given.read(name)))


if __name__ == "__main__":
    main()
