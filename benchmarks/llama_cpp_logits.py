"""Gemma 3 270M by another implementation: llama.cpp and KerasHub, the same GGUF file, their logits.

    # in the environment of Babelear
    python -m benchmarks.llama_cpp_logits ours --folder /tmp/logits
    # in one of its own: pip install xllamacpp gguf numpy
    python -m benchmarks.llama_cpp_logits theirs --folder /tmp/logits

The first writes the file, token ids and KerasHub's logits of a conversion in float32 (or, with
`--preset`, of what model.pretrained wrote, in 16 bits unless told otherwise). The second asks
llama.cpp for the likeliest `TOP` tokens after every token of a sentence in each of twelve
languages, and prints how far the log-probabilities of those lie apart.

llama.cpp rounds activations to 8 bits before a product with quantized weights. So the weights are
first written as float32, dequantized by the `gguf` package, not by ours: what then differs is
rounding, or a mistake in the conversion. `--quantized` leaves the file as it is.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

TOP = 1000


def ours(preset: str | None, folder: str) -> None:
    """Writes `model.gguf`, and `ours.npz` with ids and logits of each sentence."""
    import keras_hub
    from keras import ops

    from model import pretrained_gemma
    from model.gguf_weights import parse_gguf
    from model.token_loss import SENTENCES

    data = pretrained_gemma.read_wheels()
    Path(folder, "model.gguf").write_bytes(data.tobytes())
    if preset:
        backbone = keras_hub.models.Backbone.from_preset(preset, dtype="float32")
        tokenizer = keras_hub.tokenizers.Tokenizer.from_preset(preset)
    else:
        gguf = parse_gguf(data)
        backbone = pretrained_gemma.convert(gguf, dtype="float32")
        tokenizer = pretrained_gemma.convert_tokenizer(gguf)
    arrays: dict[str, np.ndarray] = {}
    for language, texts in SENTENCES.items():
        pieces = np.asarray(tokenizer([texts[0]])[0]).tolist()
        ids = np.array([[tokenizer.start_token_id, *pieces]], np.int32)
        states = backbone({"token_ids": ids, "padding_mask": np.ones_like(ids)})[0]
        logits = ops.matmul(backbone.token_embedding.embeddings, ops.transpose(states))
        arrays[f"{language}/ids"] = ids[0]
        arrays[f"{language}/logits"] = ops.convert_to_numpy(logits).T
        arrays[f"{language}/text"] = np.array(texts[0])
    np.savez(Path(folder, "ours.npz"), **arrays)


def dequantized(path: str) -> str:
    """A copy of a GGUF file with every tensor in float32; returns its path."""
    import gguf

    reader = gguf.GGUFReader(path)
    copy = f"{path}.float32"
    writer = gguf.GGUFWriter(copy, "gemma3")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        value = 0 if field.name == "general.file_type" else field.contents()
        writer.add_key_value(field.name, value, kind, sub_type=inner)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, np.asarray(values, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return copy


class LlamaCpp:
    """A GGUF file behind llama.cpp's server, keys and values in float32 as the rest."""

    def __init__(self, path: str) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = path
        params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
        # Its threads spin while they wait: on a busy machine one is faster than two.
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.server = xllamacpp.Server(params)

    def ask(self, prompt: str | list[int], count: int) -> dict[str, Any]:
        """The server's answer to a prompt: one token, and the `count` likeliest in its place."""
        request = {"prompt": prompt, "n_predict": 1, "n_probs": count, "temperature": 0}
        answer: dict[str, Any] = self.server.handle_completions(request)
        return answer

    def next_tokens(self, ids: list[int]) -> dict[int, float]:
        """Log-probabilities of the likeliest tokens after a sequence."""
        content = self.ask(ids, TOP)["choices"][0]["logprobs"]["content"]
        return {top["id"]: top["logprob"] for top in content[0]["top_logprobs"]}

    def length(self, text: str) -> int:
        """How many tokens it makes of a text, `<bos>` included."""
        count: int = self.ask(text, 1)["usage"]["prompt_tokens"]
        return count


def compare(model: LlamaCpp, folder: str) -> dict[str, Any]:
    """How far the two lie apart, in nats, over all places of all sentences."""
    apart, likeliest, same_length = [], [], []
    with np.load(Path(folder, "ours.npz"), allow_pickle=False) as arrays:
        for language in sorted({name.split("/")[0] for name in arrays.files}):
            ids, logits = arrays[f"{language}/ids"].tolist(), arrays[f"{language}/logits"]
            same_length.append(model.length(str(arrays[f"{language}/text"])) == len(ids))
            for end, row in enumerate(logits.astype(np.float64)):
                theirs = model.next_tokens(ids[: end + 1])
                logs = row - row.max() - np.log(np.exp(row - row.max()).sum())
                apart.append(np.abs(logs[list(theirs)] - np.array(list(theirs.values()))))
                likeliest.append(int(row.argmax()) == next(iter(theirs)))
    return {
        "sentences": len(same_length),
        "as_many_tokens": sum(same_length),
        "places": len(apart),
        "likeliest_tokens_compared": int(sum(map(len, apart))),
        "max_difference": float(max(a.max() for a in apart)),
        "mean_difference": float(np.mean([a.mean() for a in apart])),
        "same_likeliest_token": float(np.mean(likeliest)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("ours", "theirs"))
    parser.add_argument("--folder", required=True, help="where the two leave what they share")
    parser.add_argument("--preset", help="folder of model.pretrained, to compare that")
    parser.add_argument("--quantized", action="store_true", help="leave the weights quantized")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    if options.what == "ours":
        ours(options.preset, options.folder)
        return
    path = str(Path(options.folder, "model.gguf"))
    model = LlamaCpp(path if options.quantized else dequantized(path))
    print(json.dumps(compare(model, options.folder), indent=2), flush=True)


if __name__ == "__main__":
    main()
