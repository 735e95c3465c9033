"""Encoding with GPT-2's and BERT's vocabularies, and training one, beside Hugging Face's tokenizers (Rust).

    TT_DATA=... ./run python benchmarks/tokenization.py      (needs tokenizers: pip install tokenizers)

MB of UTF-8 in a second of one thread's processor time, medians of rounds in which all take turns. Cold: a tokenizer
that has met no word yet; warm: one that has met this text. Theirs is called without the places of tokens in the text,
which ours does not give.
"""

import copy
import importlib
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tt_architectures import BPETokenizer, WordPieceTokenizer

os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROUNDS = 3


def texts() -> dict[str, str]:
    """Plays, stories, 16 books, names, and words that are hardly ever met twice."""
    root = Path(os.environ["TT_DATA"], "text")
    books = sorted((root / "gutenberg").iterdir())[:16]
    rng = np.random.default_rng(0)
    alphabets = [
        range(0x61, 0x7B),
        range(0x430, 0x450),
        range(0x3B1, 0x3CA),
        range(0x5D0, 0x5EB),
        range(0x4E00, 0x9FA6),
    ]
    words = []
    for _ in range(60_000):
        alphabet = alphabets[int(rng.integers(len(alphabets)))]
        words.append("".join(map(chr, rng.choice(alphabet, int(rng.integers(2, 12))))))
    return {
        "Tiny Shakespeare": (root / "tinyshakespeare.txt").read_text("utf-8"),
        "TinyStories": (root / "tinystories" / "valid.txt").read_text("utf-8"),
        "16 books": "".join(book.read_text("utf-8") for book in books),
        "names": (root / "names.txt").read_text("utf-8"),
        "random words of 5 scripts": " ".join(words),
    }


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    hf: Any = importlib.import_module("tokenizers")
    folder = Path(os.environ["TT_DATA"], "tokenizers")
    theirs_bert = hf.BertWordPieceTokenizer(str(folder / "bert-base-uncased" / "vocab.txt"))
    theirs_gpt2 = hf.ByteLevelBPETokenizer(*(str(folder / "gpt2" / name) for name in ("encoder.json", "vocab.bpe")))
    pairs: list[tuple[str, Any, Any]] = [
        ("GPT-2", BPETokenizer.from_gpt2(folder / "gpt2"), theirs_gpt2),
        ("BERT", WordPieceTokenizer.from_bert(folder / "bert-base-uncased"), theirs_bert),
    ]
    print(f"{'':33}{'MB':>6}{'cold':>9}{'warm':>9}{'theirs':>9}   MB/s")
    for vocabulary, fresh, theirs in pairs:
        for name, text in texts().items():
            taken: dict[str, list[float]] = {"cold": [], "warm": [], "theirs": []}
            for _ in range(ROUNDS):
                ours = copy.deepcopy(fresh)
                taken["cold"].append(seconds(lambda: ours.encode(text)))  # noqa: B023 - called at once
                taken["warm"].append(seconds(lambda: ours.encode(text)))  # noqa: B023
                taken["theirs"].append(
                    seconds(lambda: theirs._tokenizer.encode_batch_fast([text], add_special_tokens=False))  # noqa: B023
                )
            size = len(text.encode()) / 1e6
            rates = "".join(f"{size / statistics.median(times):9.2f}" for times in taken.values())
            print(f"{vocabulary + ', ' + name:33}{size:6.1f}{rates}")

    text = texts()["Tiny Shakespeare"]
    level = hf.pre_tokenizers.ByteLevel
    trained: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        model = hf.Tokenizer(hf.models.BPE())
        model.pre_tokenizer = level(add_prefix_space=False)
        trainer = hf.trainers.BpeTrainer(vocab_size=4096, initial_alphabet=level.alphabet(), show_progress=False)
        trained["ours"].append(seconds(lambda: BPETokenizer.train(text, 4096)))
        trained["theirs"].append(seconds(lambda: model.train_from_iterator([text], trainer)))  # noqa: B023
    times = ", ".join(f"{who} {statistics.median(taken):.2f} s" for who, taken in trained.items())
    print(f"training 4,096 tokens on Tiny Shakespeare: {times}")


if __name__ == "__main__":
    main()
