"""Tables of values over time: which columns are read, and what is wrong with a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.errors import StorageError
from render.media.table import read_table


def write(folder: Path, text: str) -> Path:
    """Writes a table; returns its path."""
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "column", "unit", "times", "values"),
    [
        ("time,value\n0,0.5\n1.5,1\n", None, "time", [0, 1.5], [0.5, 1]),
        ("value,frame,other\n0.5,0,1\n1,24,2\n", None, "frame", [0, 24], [0.5, 1]),
        ("\ufeff# made by hand\nTime, A, B\n\n0, 1, 2\n1, 3, 4\n", "b", "time", [0, 1], [2, 4]),
        ("0,0.25\n2,0.75\n", None, "time", [0, 2], [0.25, 0.75]),
        ("time;value\r\n0,5;0,25\r\n1,5;1\r\n", None, "time", [0.5, 1.5], [0.25, 1]),
        ("time\tA B\n0\t0\n1\t1\n", "a b", "time", [0, 1], [0, 1]),
        ("# a, b\n\n0;1\n", None, "time", [0], [1]),
        ("frame,time,hit\n0,0,0.5\n24,1,1\n", None, "time", [0, 1], [0.5, 1]),
        ('time,"the level"\n-1,1e-3\n', "the level", "time", [-1], [0.001]),
    ],
)
def test_a_column_is_read(
    text: str, column: str | None, unit: str, times: list[float], values: list[float], tmp_path: Path
) -> None:
    table = read_table(write(tmp_path, text), column)
    assert (table.unit, table.times.tolist(), table.values.tolist()) == (unit, times, values)


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", None, "t.csv is empty"),
        ("time,value\n", None, "t.csv has no values"),
        ("time,value\n0,1\n1,\n2,1\n", None, "t.csv:3: the column 'value' has no value here; leave out the line"),
        ("time,value\n0,1\n1\n", None, "t.csv:3: the column 'value' has no value here; leave out the line"),
        ("time,value\n0,1\n\n1,loud\n", None, "t.csv:4: 'loud' is not a number"),
        ("time,value\n0,nan\n", None, "t.csv:2: 'nan' is not a number"),
        ("time,value\n0,1\n2,1\n1,1\n", None, "t.csv:4: the time 1 does not come after 2; sort the lines by it"),
        ("frame,value\n3,1\n3,1\n", None, "t.csv:3: the frame 3 does not come after 3; sort the lines by it"),
        (
            "seconds,value\n0,1\n",
            None,
            "t.csv has no column 'time' or 'frame', but 'seconds', 'value'; name the column of seconds time",
        ),
        ("time\n0\n", None, "t.csv has no column of values"),
        ("time,bass,hats,snare,crash,tom\n0,1,1,1,1,1\n", "bas", "t.csv has no column 'bas'; did you mean 'bass'?"),
        ("0,1\n", "bass", "t.csv has no names of columns in its first line, and so no column 'bass'"),
        ("\n0.5\n", None, "t.csv:2: one column; a table has a time and a value in each line"),
        ("time;value\n0;0,5\n1;x\n", None, "t.csv:3: 'x' is not a number"),
        ("frame,time,hit\n0,0,1\n", "frame", "t.csv has no column 'frame'; expected one of hit"),
        ('time,value\n0,"1\n', None, "t.csv:2: unexpected end of data"),
        ("time,value\n0,1\n ,1\n", None, "t.csv:3: the column 'time' has no value here; leave out the line"),
        ("time,value\n0,1\ninf,1\n", None, "t.csv:3: 'inf' is not a number"),
        ("time,value\n0,1\nx,y\n", None, "t.csv:3: 'x' is not a number"),
        ("0,1\n# a\n\n0,1\n", None, "t.csv:4: the time 0 does not come after 0; sort the lines by it"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, column: str | None, says: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        read_table(write(tmp_path, text), column)
    assert str(caught.value).removeprefix(f"{tmp_path}/") == says


def test_a_table_is_read_once_until_its_file_changes(tmp_path: Path) -> None:
    path = write(tmp_path, "time,a,b\n0,0,1\n1,1,0\n")
    first = read_table(path)
    assert read_table(path) is first
    assert read_table(path, "b").values.tolist() == [1, 0]
    write(tmp_path, "time,a\n0,0.25\n")
    assert read_table(path).values.tolist() == [0.25]


def test_a_file_that_is_no_text_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xff\xfe\x00\x01" * 10)
    with pytest.raises(StorageError, match=r"t\.csv is no table of text in UTF-8"):
        read_table(path)
