"""The milestone of 1998: its network, its images, and that it learns."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import numpy as np
import pytest

from tt_architectures import count_flops, count_parameters
from tt_architectures.milestones.cnn_1998 import load, main, network
from tt_foundation import manual_seed, zeros


def test_its_network_has_the_size_that_the_recipe_names() -> None:
    model = network(3, 32, 10)
    assert count_parameters(model) == 160_234
    assert count_flops(model, zeros((1, 3, 32, 32))) == 58_433_536
    assert network(1, 8, 10)(zeros((2, 1, 8, 8))).shape == (2, 10)


def test_digits_are_images_to_it() -> None:
    data = load("digits")
    assert data.train_x.shape[1:] == data.test_x.shape[1:] == (1, 8, 8)


@pytest.mark.data
def test_photographs_are_bytes_with_channels_last_in_memory() -> None:
    data = load("cifar10")
    assert data.train_x.shape == (50_000, 3, 32, 32)
    assert data.train_x.dtype == np.uint8
    assert data.train_x.transpose(0, 2, 3, 1).flags.c_contiguous


def test_the_same_seed_gives_the_same_network(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for seed in (1, 1, 2):
        manual_seed(seed)
        main(argparse.Namespace(data="digits", epochs=1))
        lines.append(capsys.readouterr().out.split(", ")[:2])  # loss and accuracy, not seconds
    assert lines[0] == lines[1] != lines[2]


@pytest.mark.slow
def test_it_reads_digits_and_ends_with_json() -> None:
    command = [sys.executable, "-m", "tt_architectures.milestones.cnn_1998", "--data", "digits", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["accuracy"] > 0.98
    assert result["parameters"] == 140_458
