"""Weights files are hostile until proven otherwise: each trick is a ModelError, and nothing is allocated first."""

import hashlib
import json
import os
import struct

import pytest
import torch

from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.models.store import CARD_FILE, WEIGHTS_FILE, ModelError
from napari_runet.models.weights import load_network, save_network, save_state
from napari_runet.networks import build

CLASSES = (ClassInfo(name="background", color="#000000"), ClassInfo(name="thing", color="#ff0000"))
SMALL = NetworkConfig(base_channels=2, hidden_channels=2)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    card = ModelCard(id="tiny", title="Tiny", sentence="A test.", network=SMALL, classes=CLASSES)
    save_network(tmp_path / "tiny", card, build(SMALL))
    return tmp_path / "tiny"


def put(folder, raw):
    """Replace the weights and make the card name them."""
    (folder / WEIGHTS_FILE).write_bytes(raw)
    change_card(folder, sha256=hashlib.sha256(raw).hexdigest())


def change_card(folder, **fields):
    content = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**content, **fields}))


def split(folder):
    raw = (folder / WEIGHTS_FILE).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def joined(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_what_was_saved_is_loaded(folder):
    card, network = load_network(folder)
    torch.manual_seed(0)
    expected = build(SMALL).state_dict()
    assert card.sha256 == hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    assert network.training is False
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)


def test_half_precision_is_read(folder):
    card, network = load_network(folder)
    save_state(folder, card, {name: tensor.half() for name, tensor in network.state_dict().items()})
    _, halved = load_network(folder)
    assert next(halved.parameters()).dtype == torch.float32


def test_a_wrong_hash_is_refused(folder):
    path = folder / WEIGHTS_FILE
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ModelError, match="sha256 differs"):
        load_network(folder)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 200, -1])
def test_a_truncated_file_is_refused_even_if_the_card_names_it(folder, kept, named):
    raw = (folder / WEIGHTS_FILE).read_bytes()[:kept]
    if named:
        put(folder, raw)
    else:
        (folder / WEIGHTS_FILE).write_bytes(raw)
    with pytest.raises(ModelError, match="weights of model 'tiny'"):
        load_network(folder)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9])
def test_a_giant_header_length_is_refused(folder, length):
    put(folder, struct.pack("<Q", length) + (folder / WEIGHTS_FILE).read_bytes()[8:])
    with pytest.raises(ModelError, match="no safetensors file"):
        load_network(folder)


@pytest.mark.parametrize("header", [b"[]", b"{", b"null", b'{"a": 1}', b'{"a": {}}', b"[" * 100_000, b"\xff\xfe"])
def test_an_odd_header_is_refused(folder, header):
    put(folder, struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelError, match="no safetensors file"):
        load_network(folder)


def test_a_tensor_too_many_or_of_another_shape_or_dtype_is_refused(folder):
    header, data = split(folder)
    name = sorted(set(header) - {"__metadata__"})[0]
    entry = header[name]
    for change in ({"shape": [10**9, 10**9]}, {"shape": [1, *entry["shape"]]}):
        put(folder, joined({**header, name: {**entry, **change}}, data))
        with pytest.raises(ModelError, match="do not fit its card"):
            load_network(folder)
    put(folder, joined({**header, "zz": entry}, data))
    with pytest.raises(ModelError, match="'zz'"):
        load_network(folder)
    put(folder, joined({**header, name: {**entry, "dtype": "F64"}}, data))
    with pytest.raises(ModelError, match="F64"):
        load_network(folder)


def test_overlapping_or_outlying_data_is_refused(folder):
    header, data = split(folder)
    name = sorted(set(header) - {"__metadata__"})[0]
    start, stop = header[name]["data_offsets"]
    for offsets in ([start + 4, stop + 4], [10**12, 10**12 + stop - start], [stop, start]):
        put(folder, joined({**header, name: {**header[name], "data_offsets": offsets}}, data))
        with pytest.raises(ModelError, match="damaged"):
            load_network(folder)


def test_a_file_larger_than_the_network_is_refused_before_it_is_read(folder):
    with (folder / WEIGHTS_FILE).open("ab") as stream:
        stream.truncate(1 << 40)  # a sparse file of a terabyte
    with pytest.raises(ModelError, match="too large"):
        load_network(folder)


def test_a_device_or_a_pipe_is_no_weights_file(folder):
    (folder / WEIGHTS_FILE).unlink()
    os.mkfifo(folder / WEIGHTS_FILE)
    with pytest.raises(ModelError, match="there is no file"):
        load_network(folder)
    (folder / WEIGHTS_FILE).unlink()
    (folder / WEIGHTS_FILE).symlink_to("/dev/zero")
    with pytest.raises(ModelError, match="there is no file"):
        load_network(folder)
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(ModelError, match="there is no file"):
        load_network(folder)


def test_a_pickle_is_never_opened(folder, tmp_path):
    touched = tmp_path / "touched"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(touched),)

    torch.save({"trap": Trap()}, folder / WEIGHTS_FILE)
    put(folder, (folder / WEIGHTS_FILE).read_bytes())
    with pytest.raises(ModelError, match="no safetensors file"):
        load_network(folder)
    assert not touched.exists()


@pytest.mark.parametrize(
    "network", [{"base_channels": 10**9}, {"hidden_channels": 10**9}, {"in_channels": -1}, {"classes": 10**9}]
)
def test_a_giant_network_is_refused_by_the_card(folder, network):
    change_card(folder, network={**SMALL.model_dump(), **network})
    with pytest.raises(ModelError, match="not valid: network"):
        load_network(folder)


def test_the_largest_network_a_card_can_name_is_refused_without_its_memory(folder):
    change_card(folder, network={**SMALL.model_dump(), "base_channels": 256, "hidden_channels": 1024})
    with pytest.raises(ModelError, match="do not fit its card"):
        load_network(folder)


def test_an_unknown_network_is_a_model_error(folder):
    change_card(folder, network={**SMALL.model_dump(), "name": "gru-9"})
    with pytest.raises(ModelError, match="no network called 'gru-9'"):
        load_network(folder)
