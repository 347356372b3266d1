from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.scalesim import load_scalesim

GOLDEN = Path(__file__).parents[1] / "golden" / "scalesim_stallfree.csv"
CONV_HEADER = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
    "Strides,"
)
SETTINGS = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Gemm(NamedTuple):
    M: int
    N: int
    K: int


def _load(tmp_path: Path, text: str | bytes, **arguments: int) -> Network:
    path = tmp_path / "topology.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_scalesim(path, **arguments)


def _error(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(NetworkError) as caught:
        _load(tmp_path, text)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "topology.csv" in message
    return message


def _gemms(network: Network) -> list[Gemm]:
    """Every layer as a matrix product, batch and output pixels joined."""
    found = []
    for op in network.operators:
        assert op.einsum is not None
        e = op.einsum.extent
        found.append(Gemm(e("N") * e("P") * e("Q"), e("K"), e("C") * e("R") * e("S")))
    return found


def _names(network: Network) -> list[str]:
    return [op.name for op in network.operators]


def test_every_layer_stands_alone(tmp_path: Path) -> None:
    network = _load(tmp_path, f"{CONV_HEADER}\na,8,8,3,3,4,6,1,\nb,6,6,1,1,6,2,1,\n")
    assert network.name == "topology"
    assert network.inputs == ("a.input", "b.input")
    assert network.outputs == ("a", "b")
    assert network.tensor["a.input"].shape == (1, 4, 8, 8)
    assert network.tensor["a.weight"].shape == (6, 4, 3, 3)
    assert network.tensor["a"].shape == (1, 6, 6, 6)
    assert load_scalesim(tmp_path / "topology.csv", "mine").name == "mine"


def test_golden_shapes_become_their_gemms(tmp_path: Path) -> None:
    lines = [line for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    columns = ("ifmap_h", "ifmap_w", "filt_h", "filt_w", "channels", "num_filters", "stride")
    convolutions, products = {}, {}
    for row in csv.DictReader(lines):
        gemm = Gemm(int(row["M"]), int(row["N"]), int(row["K"]))
        if row["layer_kind"] == "conv":
            convolutions["x," + ",".join(row[c] for c in columns)] = gemm
        else:
            products[f"x,{gemm.M},{gemm.N},{gemm.K}"] = gemm
    for table in (convolutions, products):
        assert len(table) > 20
        assert _gemms(_load(tmp_path, "\n".join(table))) == list(table.values())


@SETTINGS
@given(
    st.tuples(*[st.integers(1, 60)] * 2), st.tuples(*[st.integers(1, 9)] * 4),
    st.tuples(*[st.integers(1, 7)] * 2),
)  # fmt: skip
def test_output_rows_are_rounded_up(
    tmp_path: Path, size: tuple[int, int], rest: tuple[int, ...], strides: tuple[int, int]
) -> None:
    rows, columns, channels, filters = rest
    height, width = size[0] + rows - 1, size[1] + columns - 1
    values = (height, width, rows, columns, channels, filters, *strides)
    network = _load(tmp_path, f"x,{','.join(map(str, values))}")
    p = -(-(height - rows + strides[0]) // strides[0])
    q = -(-(width - columns + strides[1]) // strides[1])
    assert network.tensor["x"].shape == (1, filters, p, q)
    assert _gemms(network) == [Gemm(p * q, filters, channels * rows * columns)]


cells = st.integers(1, 2**12)
noise = st.sampled_from(["", " ", "  ", "\t"])
layers = st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=8)


@SETTINGS
@given(layers, st.data())
def test_gemms_round_trip_through_any_formatting(
    tmp_path: Path, rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    def cell(value: object) -> str:
        text = str(value) + data.draw(st.sampled_from(["", ".0", "."] if value != "x" else [""]))
        text = data.draw(st.sampled_from([text, f'"{text}"']))
        return data.draw(noise) + text + data.draw(noise)

    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = [data.draw(st.sampled_from(["Layer, M, N, K,", "layer name,m,n,k", "# none"]))]
    for row in rows:
        lines += data.draw(st.lists(st.sampled_from(["", ",,,,", "# remark", "// x", "  "])))
        tail = data.draw(st.sampled_from(["", ",", ",,,", " , # remark", ",,note"]))
        lines.append(",".join(cell(value) for value in ("x", *row)) + tail)
    text = end.join(lines) + data.draw(st.sampled_from(["", end, end * 3]))
    mark = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    network = _load(tmp_path, mark + text.encode())
    assert _gemms(network) == [Gemm(*row) for row in rows]
    assert len(set(_names(network))) == len(rows)


@pytest.mark.parametrize(
    "text",
    [
        f"{CONV_HEADER},,Eh,Ew,e2\n,,,,,,,,,,,,\nx,8,8,3,3,4,6,1,,,6,6,36\n",
        CONV_HEADER.replace(", ", "\t").replace(",", "\t") + "\nx\t8\t8\t3\t3\t4\t6\t1\t\n",
        "x;8;8;3;3;4;6;1\n",
        "layer_name,ifmap_h,ifmap_w,filter_h,filter_w,channels,filters,stride\nx,8,8,3,3,4,6,1",
        f"{CONV_HEADER}\n\nx, 8, 8, 3, 3, 4, 6, 1,#dw\n",
        f"{CONV_HEADER} Batch Size,\nx,8,8,3,3,4,6,1,1,\n",
        f"{CONV_HEADER} Comment\nx,8,8,3,3,4,6,1,first\n",
        "x,8,8,3,3,4,6,1,1:1",
        "x,8,8,3,3,4,6,1,1,4:4,",
    ],
)
def test_forms_found_in_the_wild(tmp_path: Path, text: str) -> None:
    network = _load(tmp_path, text)
    assert _names(network) == ["x"]
    assert _gemms(network) == [Gemm(36, 6, 36)]


def test_names_are_made_unique(tmp_path: Path) -> None:
    network = _load(tmp_path, "a,1,2,3\na,4,5,6\na_2,7,8,9\n,1,1,1\n'b c',1,1,1\n")
    assert _names(network) == ["a", "a_2", "a_2_2", "layer4", "b c"]


def test_batch_multiplies_rows(tmp_path: Path) -> None:
    assert _gemms(_load(tmp_path, "g,5,6,7", batch=3)) == [Gemm(15, 6, 7)]
    assert _gemms(_load(tmp_path, "c,5,5,3,3,2,4,1", batch=3)) == [Gemm(27, 4, 18)]
    text = f"{CONV_HEADER} Batch Size\nc,5,5,3,3,2,4,1,2"
    assert _gemms(_load(tmp_path, text, batch=3)) == [Gemm(54, 4, 18)]


@pytest.mark.parametrize(
    ("text", "gemm"),
    [
        ("g,4,8,16,1:4", Gemm(4, 8, 4)),
        ("g,4,8,15,2:4,", Gemm(4, 8, 8)),
        ("Layer,M,N,K,Sparsity\ng,4,8,16,1,", Gemm(4, 8, 16)),
        (f"{CONV_HEADER} Sparsity,\nc,5,5,3,3,2,6,1,2:4,", Gemm(9, 6, 9)),
        ("c,5,5,3,3,4,6,1,1,1:4", Gemm(9, 6, 9)),
    ],
)
def test_sparsity_compresses_the_contraction(tmp_path: Path, text: str, gemm: Gemm) -> None:
    assert _gemms(_load(tmp_path, text)) == [gemm]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("x,0,1,1", "line 1, column 2 (M): '0': must be an integer from 1 to 2147483648"),
        ("x,1,-3,1", "column 3 (N): '-3': must be"),
        ("x,1,1,2147483649", "column 4 (K): '2147483649': must be"),
        ("x,1,1,99999999999999999999999999", "column 4 (K)"),
        ("x,1,1,1e3", "'1e3': must be an integer"),
        ("x,1,1,2.5", "'2.5': must be an integer"),
        ("x,1,one,1", "column 3 (N): 'one'"),
        ("x,1,,1", "column 3 (N): ''"),
        ("x,1,1,nan", "'nan'"),
        ("x,1,1", "has 3 columns, needs 4"),
        ("x,1,1,1,1,1,1", "has 7 columns, needs 8"),
        ("x,8,8,3,3,1,1,0", "column 8 (stride): '0'"),
        ("x,8,8,9,3,1,1,1", "column 4 (filter height): '9': filter exceeds its input of 8"),
        ("x,8,8,3,9,1,1,1", "column 5 (filter width): '9': filter exceeds its input of 8"),
        ("x,8,8,3,3,1,1,1,0", "column 9 (stride width): '0'"),
        ("x,8,8,3,3,1,1,1,3:2", "column 9 (sparsity): '3:2': must be N:M"),
        ("x,8,8,3,3,1,1,1,0:2", "column 9 (sparsity)"),
        ("x,8,8,3,3,1,1,1,1,5", "column 10 (no title): '5': unexpected"),
        ("x,4,4,4,7", "column 5 (sparsity): '7': must be N:M"),
        ("x,2147483648,2147483648,1", "exceeds 2^48 elements"),
        ("x,2147483,2147483,2147483", "line 1: einsum of 9903511349168127587 multiply-accumulates"),
        ("a,1,1,1\nb,8,8,3,3,1,1,1", "line 2, column 5 (sparsity)"),
        (f"{CONV_HEADER}\nb,8,8,3", "line 2: has 4 columns, needs 8"),
        ("word,word,word,word\nx,1,1,1", "line 1, column 2 (M): 'word'"),
        ("x" * 300 + ",1,1,1", "at most 200 printable characters"),
        ("", "holds no layer"),
        ("\n\n,,,\n# nothing\n", "holds no layer"),
        (CONV_HEADER, "holds no layer"),
    ],
)
def test_errors_name_the_place_and_the_law(tmp_path: Path, row: str, words: str) -> None:
    assert words in _error(tmp_path, row)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"x,1,1,\xff1\n", "byte 0xff at offset 6 is not UTF-8"),
        ("x,1,1,1\n".encode("utf-16"), "is not UTF-8"),
        (b"x,1,1,1\n\x00\x01", "line 2: control character '\\x00': not a text file"),
        (b"PK\x03\x04zip", "control character"),
        (b"a" * (2**24 + 1), "larger than"),
        (b"a" * 200_000, "line 1: "),
    ],
)
def test_what_is_not_text_is_rejected(tmp_path: Path, data: bytes, words: str) -> None:
    assert words in _error(tmp_path, data)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"none\.csv: cannot be read: No such file"):
        load_scalesim(tmp_path / "none.csv")
    with pytest.raises(NetworkError, match="cannot be read: Is a directory"):
        load_scalesim(tmp_path)
    with pytest.raises(NetworkError, match="cannot be read: embedded null byte"):
        load_scalesim("a\0b.csv")


garbage = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
    st.text(alphabet="0123456789,.:;-+\n\r\t \"'#xMNK", max_size=120).map(str.encode),
    st.lists(st.lists(st.sampled_from(["a", "1", "0", "7", "", "2:4", "9" * 30]), max_size=11)).map(
        lambda rows: "\n".join(",".join(row) for row in rows).encode()
    ),
)


@settings(SETTINGS, max_examples=400)
@given(garbage)
def test_garbage_is_a_network_or_one_line(tmp_path: Path, data: bytes) -> None:
    try:
        network = _load(tmp_path, data)
    except NetworkError as error:
        message = str(error)
    else:
        message = "none"
        assert network.macs >= len(network.operators) > 0
    assert len(message.splitlines()) == 1
    assert message.isprintable()
