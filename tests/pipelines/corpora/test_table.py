from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.corpora import table
from pipelines.corpora.table import TableError, read_rows
from pipelines.rejects import Rejected


def rows(path: Path, content: bytes) -> list[tuple[int, object]]:
    """The rows of a file with that content, needing the column `a`; rejects as their reason."""
    path.write_bytes(content)
    return [
        (line, row.reason if isinstance(row, Rejected) else row)
        for line, row in read_rows(str(path), needed=["a"])
    ]


def test_a_jsonl_file_gives_an_object_a_line(tmp_path):
    content = '{"a": "né", "b": 1}\n\n  \n{"a": null}\n'.encode()

    assert rows(tmp_path / "t.jsonl", content) == [(1, {"a": "né", "b": 1}), (4, {"a": None})]


def test_a_bad_jsonl_row_costs_that_row_alone(tmp_path):
    content = b"\n".join(
        [
            b'{"a": 1}',
            b'{"a": "caf\xe9"}',
            b'{"a": ',
            b'["a"]',
            b"[" * 100_000,
            b'{"a": "\0"}',
            b'{"a": 1' + b"0" * 10_000 + b"}",
            b'{"a": 2}',
        ]
    )

    assert rows(tmp_path / "t.jsonl", content) == [
        (1, {"a": 1}),
        (2, "invalid-utf8"),
        (3, "invalid-row"),
        (4, "invalid-row"),
        (5, "invalid-row"),
        (6, "invalid-row"),
        (7, "invalid-row"),
        (8, {"a": 2}),
    ]


def test_a_csv_field_may_hold_commas_quotes_and_newlines(tmp_path):
    content = b'a,b\r\n"x, y","say ""hi"""\r\n"two\r\nlines\r\n\r\nand more",z\r\n5" disc,q\r\n'

    assert rows(tmp_path / "t.csv", content) == [
        (2, {"a": "x, y", "b": 'say "hi"'}),
        (3, {"a": "two\nlines\n\nand more", "b": "z"}),
        (7, {"a": '5" disc', "b": "q"}),
    ]


def test_an_unclosed_quote_costs_that_row_alone(tmp_path):
    content = b'a,b\n"never closed,1\nx,2\n"fine, with\na newline",3\ny,4\n"at the end,5\n'

    assert rows(tmp_path / "t.csv", content) == [
        (2, "invalid-row"),
        (3, {"a": "x", "b": "2"}),
        (4, {"a": "fine, with\na newline", "b": "3"}),
        (6, {"a": "y", "b": "4"}),
        (7, "invalid-row"),
    ]


def test_an_unclosed_quote_before_a_thousand_rows_costs_that_row_alone(tmp_path):
    content = b'a,b\n"never closed,1\n' + b"x,2\n" * 1000

    assert rows(tmp_path / "t.csv", content) == [
        (2, "invalid-row"),
        *((line, {"a": "x", "b": "2"}) for line in range(3, 1003)),
    ]


def test_a_quote_that_is_closed_in_the_wrong_place_costs_the_rows_it_spoils(tmp_path):
    content = b'a,b\n"open,1\nx",2,3\ny,4\n'

    assert rows(tmp_path / "t.csv", content) == [
        (2, "invalid-row"),
        (3, "invalid-row"),
        (4, {"a": "y", "b": "4"}),
    ]


def test_a_bad_csv_row_costs_that_row_alone(tmp_path):
    content = b'a,b\ncaf\xe9,1\nonly\n1,2,3\n"x"y,2\n\0,2\n"caf\xe9\nnoir",3\nz,\n'

    assert rows(tmp_path / "t.csv", content) == [
        (2, "invalid-utf8"),
        (3, "missing-column"),
        (4, "invalid-row"),
        (5, "invalid-row"),
        (6, "invalid-row"),
        (7, "invalid-utf8"),
        (9, {"a": "z", "b": ""}),
    ]


def test_quotes_mean_nothing_in_a_tsv_file(tmp_path):
    content = b'a\tb\n"open\t1\n\n5" disc\t"x, y"\nshort\nlong\t1\t2\n'

    assert rows(tmp_path / "t.tsv", content) == [
        (2, {"a": '"open', "b": "1"}),
        (4, {"a": '5" disc', "b": '"x, y"'}),
        (5, "missing-column"),
        (6, "invalid-row"),
    ]


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.tsv"])
def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_values(tmp_path, name):
    assert rows(tmp_path / name, b"\xef\xbb\xbf a \r\nx\r\n") == [(2, {"a": "x"})]


def test_separators_that_only_unicode_knows_end_no_line(tmp_path):
    content = "a\tb\nx\u2028y\x0bz\t1\x851\n".encode()

    assert rows(tmp_path / "t.tsv", content) == [(2, {"a": "x\u2028y\x0bz", "b": "1\x851"})]


@pytest.mark.parametrize("header", [b"", b"a,b\n"])
def test_a_row_over_the_size_limit_is_set_aside_unread(tmp_path, monkeypatch, header):
    monkeypatch.setattr(table, "LONGEST_ROW", 50)
    good = b"x,1\n" if header else b'{"a": 1}\n'
    value = {"a": "x", "b": "1"} if header else {"a": 1}
    first = 2 if header else 1
    path = tmp_path / ("t.csv" if header else "t.jsonl")

    for size in (51, 101, 102, 1000):
        assert rows(path, header + good + b"y" * size + b"\n" + good) == [
            (first, value),
            (first + 1, "invalid-row"),
            (first + 2, value),
        ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b"", "has no rows; give it one a recording, with at least a"),
        ("t.jsonl", b"\n \n", "has no rows"),
        ("t.csv", b"", "has no rows"),
        ("t.tsv", b"a\tb\n", "has no rows"),
        ("t.csv", b"path,text\nx,y\n", "no column 'a'; its columns are 'path', 'text'. Needed are"),
        ("t.csv", b"a;b\nx;y\n", "no column 'a'; its columns are 'a;b'"),
        ("t.jsonl", b'{"b": 1}\n{"c": 2}\n', "no column 'a'; its columns are 'b', 'c'"),
        ("t.csv", b"a,a\nx,y\n", "has 'a' twice"),
        ("t.csv", b'"a,b\nx,y\n', "opens a quote"),
        ("t.tsv", b"a\xe9\nx\n", "the line of column names: invalid-utf8"),
        ("t.csv", "a,b\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("t.xlsx", b"", "must end in .jsonl, .csv or .tsv"),
    ],
)
def test_a_file_that_is_no_table_is_an_error_that_says_what_to_do(tmp_path, name, content, message):
    with pytest.raises(TableError, match=message):
        rows(tmp_path / name, content)


def test_an_absent_file_is_an_error(tmp_path):
    with pytest.raises(TableError, match=r"absent\.csv: No such file"):
        list(read_rows(str(tmp_path / "absent.csv"), needed=["a"]))


def test_a_file_of_nothing_but_bad_rows_is_all_rejects(tmp_path):
    assert rows(tmp_path / "t.jsonl", b"x\ny\n") == [(1, "invalid-row"), (2, "invalid-row")]


def test_a_table_is_read_from_a_url_through_beam(tmp_path):
    from tests.pipelines import shelf_filesystem  # noqa: F401

    (tmp_path / "t.csv").write_bytes(b"a\nx\n")

    assert list(read_rows(f"shelf:/{tmp_path}/t.csv", needed=["a"])) == [(2, {"a": "x"})]
    with pytest.raises(TableError, match="no such file"):
        list(read_rows(f"shelf:/{tmp_path}/absent.csv", needed=["a"]))
