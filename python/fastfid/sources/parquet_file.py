"""One Parquet file of images, read row group by row group."""

from collections.abc import Iterator
from typing import IO, Any

import pyarrow.parquet as pq

from .columns import has_paths, image_column
from .unchanged import Unchanged

_BUFFER = 1 << 16
# A dictionary lets few bytes of a file become many values of many bytes each, so rows are taken one by one; more at
# once would save 8 µs a row.
_ROWS = 1


class ParquetFile:
    """The image column of a file; `rows` has the number of rows of each row group."""

    ended = True

    def __init__(self, opened: IO[bytes], file: Unchanged, key: str | None) -> None:
        self.file = file
        parquet = _open(opened)
        schema, found = parquet.schema_arrow, parquet.metadata
        field = schema[image_column(schema, key, file.name)]
        self.column, self._paths = field.name, has_paths(field.type)
        self.rows = [found.row_group(group).num_rows for group in range(found.num_row_groups)]
        check_rows(self.rows, opened)

    def read(self, opened: IO[bytes], group: int) -> Iterator[Any]:
        """Yield the column of a row group as arrays of one row."""
        for batch in _open(opened).iter_batches(_ROWS, row_groups=[group], columns=[self.column], use_threads=False):
            yield batch.column(0)

    def lacks_bytes(self, opened: IO[bytes], group: int) -> bool:
        """Return True if a row of a group may have a path and no bytes, by the statistics of the group."""
        if not self._paths:
            return False
        found = _open(opened).metadata.row_group(group)
        columns = (found.column(index) for index in range(found.num_columns))
        known = next((one.statistics for one in columns if one.path_in_schema == f"{self.column}.bytes"), None)
        return known is None or not known.has_null_count or known.null_count > 0


def check_rows(rows: list[int], file: IO[bytes]) -> None:
    """Raise `ValueError` if a file says that it has more rows than it has bytes."""
    size = file.seek(0, 2)
    if min(rows, default=0) < 0 or sum(rows) > max(size, 1 << 16):
        raise ValueError(f"it says that it has {sum(rows):,} rows, in {size:,} bytes")


def _open(file: IO[bytes]) -> pq.ParquetFile:
    # Column chunks are read in parts, since a whole one may have gigabytes.
    return pq.ParquetFile(
        file, memory_map=False, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True
    )
