"""No checkpoint runs code, fills the memory or takes long, wherever it is loaded."""

import json
import pickle

import pytest
import torch

from srlit.checkpoint import CheckpointError, load_checkpoint
from srlit.checkpoint.io import AtomicCheckpointIO
from srlit.config import ConfigError, load_generator
from tests.checkpoint import malicious
from tests.helpers import REPOSITORY, run

ENTRIES = (
    "upscale",
    "evaluate",
    "select",
    "init_from",
    "resume",
    "lightning",
    "load_generator",
)
BUILDING = {"upscale", "evaluate", "select", "load_generator"}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Entry point to file to what happened; and the files' folder."""
    folder = tmp_path_factory.mktemp("malicious")
    malicious.write_corpus(folder / "files", folder / "executed")
    (folder / "work").mkdir()
    where = (str(folder / "files"), str(folder / "work"))
    ended = run("tests.checkpoint.witness", *where, cwd=REPOSITORY)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert not (folder / "executed").exists()
    return json.loads(ended.stdout.splitlines()[-1])


def test_the_witness_sees_what_pickle_does(told):
    """Otherwise the silence below would prove nothing."""
    assert len(malicious.CORPUS) >= 30
    assert told["pickle"]["events"] == ["pickle.find_class ('posix',)", "os.system (b'true',)"]


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_malicious_checkpoint_gets_through(told, entry):
    found = dict(told[entry])
    assert found.pop("harmless")["error"] is None
    assert found.keys() == malicious.CORPUS.keys()
    for name, outcome in found.items():
        where = f"{name} through {entry}: {outcome}"
        assert outcome["events"] == [], where
        assert outcome["seconds"] < 5, where
        assert outcome["megabytes"] < 500, where
        if entry not in BUILDING and name in malicious.INERT_WITHOUT_BUILDING:
            continue  # a card that nobody builds from is text; resuming compares it
        assert {"CheckpointError", "ConfigError"} & set(outcome["error"] or ()), where
        # A run's checkpoints are known by their iteration, so select meets each under such a name.
        file = "iteration_0000001.ckpt" if entry == "select" else f"{name}.ckpt"
        assert file in outcome["message"], where
        assert outcome["message"].isprintable(), where


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_byte_is_refused_or_changes_data_only(tmp_path, seed):
    """Whatever is flipped in a file, loading gives a CheckpointError or a checkpoint."""
    path = tmp_path / "c.ckpt"
    torch.save(malicious.harmless(), path)
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(seed)
    for _ in range(60):
        damaged = bytearray(whole)
        for position in torch.randint(len(whole), (3,), generator=generator).tolist():
            damaged[position] = int(torch.randint(256, (), generator=generator))
        path.write_bytes(damaged)
        try:
            load_generator(path)
        except (CheckpointError, ConfigError) as error:
            assert str(path) in str(error)


def test_everything_that_is_written_can_be_read(tmp_path):
    """The look at the file must know all that `check_plain` lets through to it."""
    shared = torch.arange(6.0)
    values = {
        "dtypes": [torch.zeros(3, dtype=kind) for kind in malicious.DTYPES],
        "views": [shared, shared[2:4], shared.view(2, 3).T, torch.zeros(0, 3), torch.tensor(3)],
        "channels_last": torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "numbers": [2**63, -(2**63), 1e300, float("nan"), True, None],
        "shape": torch.Size([1, 2]),
        "dtype": torch.bfloat16,
        "layers": torch.nn.BatchNorm2d(3).state_dict(),
        "nested": {0: {"betas": (0.9, 0.999)}},
    }
    AtomicCheckpointIO().save_checkpoint(malicious.harmless(more=values), tmp_path / "c.ckpt")
    read = load_checkpoint(tmp_path / "c.ckpt")["more"]
    assert read["shape"] == values["shape"]
    assert read["layers"]._metadata == values["layers"]._metadata
    for written, back in zip(values["views"], read["views"], strict=True):
        assert torch.equal(written, back)
        assert written.stride() == back.stride()
    assert [tensor.dtype for tensor in read["dtypes"]] == list(malicious.DTYPES)


def test_the_memory_is_bounded_by_the_file_before_a_network_is_built(tmp_path):
    """The guard counts what is registered; a network that fits is built as ever."""
    path = tmp_path / "c.ckpt"
    torch.save(malicious.harmless(), path)
    generator, card = load_generator(path)
    assert card["name"] == "tiny"
    assert {p.device.type for p in generator.parameters()} == {"cpu"}
    for change in ({"width": 9}, {"blocks": 2}, {"scale": 3}):
        card = malicious.harmless()["card"] | {"model": malicious.MODEL | change}
        torch.save(malicious.harmless(card=card), path)
        with pytest.raises(CheckpointError, match="more parameters than the 10 weights"):
            load_generator(path)
    torch.save(malicious.harmless(card=card | {"model": malicious.MODEL | {"blocks": 0}}), path)
    with pytest.raises(CheckpointError, match="the weights do not fit the network"):
        load_generator(path)


def test_a_message_obeys_no_file(tmp_path):
    """Names from a file reach the terminal as text, not as its commands."""
    path = tmp_path / "c.ckpt"
    malicious.write_archive(path, b"\x80\2c\x1b[2Jos\nsystem\n.")
    with pytest.raises(CheckpointError, match=r"\\x1b\[2Jos\.system"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps("a" * 10_000))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert len(str(caught.value)) < 500
