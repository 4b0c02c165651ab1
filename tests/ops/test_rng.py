import itertools

import torch
from scipy import stats

from srlit.ops.rng import RowGenerator, make_keys, pixel_field, uniform_field


def rows(count: int, seed: int = 0) -> RowGenerator:
    return RowGenerator(make_keys(seed, (1,), torch.arange(count)))


def test_uniform_numbers_pass_kolmogorov_smirnov():
    u = uniform_field(make_keys(3, (), torch.arange(4)), (50_000,))
    assert 0 < u.min() <= u.max() < 1
    for row in u:
        assert stats.kstest(row.numpy(), "uniform").pvalue > 1e-3


def test_pixel_bits_are_uniform_and_uncorrelated():
    bits = pixel_field(make_keys(5, (), torch.arange(6)), (3, 128, 131)).double()
    for image in bits:
        assert stats.kstest(image.flatten().numpy(), "uniform", (0, 65536)).pvalue > 1e-3
    flat = bits.flatten(1)
    shifted = [flat, *(flat[:1].roll(lag, 1) for lag in (1, 2, 131, 128 * 131))]
    turned = bits[:1].transpose(2, 3).flatten(1)
    correlation = torch.corrcoef(torch.cat([*shifted, turned])).fill_diagonal_(0)
    assert correlation.abs().max() < 0.02


def test_pixel_bits_belong_to_the_place_and_the_key():
    keys = make_keys(5, (), torch.arange(6))
    whole = pixel_field(keys, (3, 40, 41))
    assert torch.equal(pixel_field(keys[2:3], (3, 17, 20)), whole[2:3, :, :17, :20])
    assert len({tuple(image.flatten().tolist()) for image in whole}) == 6


def test_a_stream_outlives_its_first_block():
    generator = rows(1)
    drawn = [float(generator.uniform()[0]) for _ in range(50)]
    generator.keys()
    assert len({*drawn, float(generator.uniform()[0])}) == 51


def test_rows_and_neighbours_are_uncorrelated():
    u = uniform_field(make_keys(7, (), torch.arange(16)), (65_536,)).double()
    between_rows = torch.corrcoef(u) - torch.eye(16)
    assert between_rows.abs().max() < 0.02
    for lag in (1, 2, 256):
        assert abs(torch.corrcoef(torch.stack([u[0, :-lag], u[0, lag:]]))[0, 1]) < 0.02


def test_a_row_is_the_same_alone_and_in_a_batch():
    keys = make_keys(1, (2, 3), torch.arange(6))
    assert torch.equal(uniform_field(keys, (3, 5))[4:5], uniform_field(keys[4:5], (3, 5)))
    assert rows(6).uniform()[4] == RowGenerator(make_keys(0, (1,), torch.tensor([4]))).uniform()[0]


def test_every_part_of_the_path_changes_the_draw():
    drawn = {
        float(RowGenerator(make_keys(seed, (a, b), torch.tensor([row]))).uniform()[0])
        for seed, a, b, row in itertools.product((0, 1), repeat=4)
    }
    assert len(drawn) == 16


def test_draws_differ_and_children_are_apart():
    generator = rows(100)
    first, second = generator.uniform(), generator.uniform()
    assert not torch.equal(first, second)
    assert not torch.equal(rows(100).child("blur").uniform(), rows(100).child("noise").uniform())
    # A further draw in one child changes nothing in the other.
    generator = rows(100)
    generator.child("blur").uniform()
    assert torch.equal(generator.child("noise").uniform(), rows(100).child("noise").uniform())


def test_integers_cover_both_ends_equally():
    counts = torch.bincount(rows(30_000).integers(3, 7))[3:]
    assert len(counts) == 5
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_categorical_and_bernoulli_follow_their_probabilities():
    counts = torch.bincount(rows(30_000).categorical([0.5, 0.2, 0.3]), minlength=3)
    assert stats.chisquare(counts.numpy(), [15_000, 6_000, 9_000]).pvalue > 1e-3
    for p in (0.0, 0.25, 1.0):
        assert abs(rows(20_000).bernoulli(p).float().mean() - p) < 0.015 * (0 < p < 1) + 1e-9
