"""What `pipelines.prepare` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines import accelerator, storage
from pipelines import options as command_line
from pipelines.options import option
from pipelines.precision import PRECISIONS, resolve_precision
from pipelines.speech_encoder import refuse_unknown
from pipelines.utterance import SPLITS


@dataclass(frozen=True)
class PrepareOptions:
    """The options of `pipelines.prepare`."""

    output: str = option(help="folder to write to, local or gs://")
    corpus: str = option(
        "demo",
        help="demo; words; a .jsonl, .csv or .tsv manifest; or fleurs, covost, wikimatrix, opus, "
        "cldr, lhotse, nemo, tuxpaint, as they are published: see docs/corpora.md",
    )
    corpus_path: str = option("", help="where a published corpus lies: a folder or a file")
    languages: tuple[str, ...] = option(
        (),
        help="which languages: fleurs fr,de_de,south_asian_sa; covost fr,en-de; wikimatrix and "
        "opus en-fr; cldr, tuxpaint and words fr,el; lhotse and nemo: the language of rows that "
        "name none. Else all there are",
    )
    splits: tuple[str, ...] = option(
        (), help="which of train, dev, test; lhotse and nemo: the split of all rows. Else all"
    )
    min_score: float = option(1.04, help="wikimatrix: leave out pairs with a lower score")
    also: tuple[str, ...] = option(
        (), help="further corpora for the same output, all they hold: wikimatrix=PATH,opus=PATH"
    )
    train_languages: tuple[str, ...] = option(
        (),
        help="train on the speech of these only, the others serve dev and test (tuxpaint: "
        "es,fr,ru,ro,ca). Else all; this and the next three change --corpus, not --also",
    )
    speeds: tuple[float, ...] = option(
        (), help="copies of training recordings, slower and faster: 0.9,1.1"
    )
    synthetic: int = option(
        0, help="training sentences spoken by eSpeak NG too, in so many voices each"
    )
    synthetic_languages: tuple[str, ...] = option(
        (), help="languages of that speech, heard in recordings or not; else those trained on"
    )
    synthetic_only: bool = option(
        False,
        help="leave out what the corpus holds itself: that speech alone, to be trained on beside "
        "another folder of the same --codebook, model.train --data RECORDED,SYNTHETIC",
    )
    held_out: tuple[str, ...] = option(
        (),
        help="prepared folders: text pairs and training recordings that say what their dev or test "
        "split says are set aside",
    )
    audio_root: str = option("", help="where a manifest's audio paths start; else its folder")
    speech_encoder: str = option(
        "whisper_base@4",
        help="whisper_base@N taps layer N (1–6); kaggle:PRESET@N or FOLDER@N a KerasHub preset of "
        "Whisper, Gemma 3n or Gemma 4 at any layer, see docs/speech_encoders.md; FOLDER may be "
        "gs://; mfcc needs no weights, its tokens are far worse",
    )
    speech_precision: str = option(
        "auto",
        help="what the speech encoder computes in; auto: bfloat16 where the processor has "
        "instructions for it (AVX512-BF16, AMX), twice as fast there, else float32",
        choices=PRECISIONS,
    )
    accelerator: str = option(
        "",
        help="GPU for the speech encoder's step on Dataflow, and for no other: nvidia-l4, or two: "
        "nvidia-l4:2; the workers' image must hold CUDA",
    )
    model_copies: int = option(
        0,
        help="copies of the speech encoder on a worker machine, which its processes share: 1 for a "
        "large one. 0: one in each process",
    )
    codebook: str = option("", help="reuse the codebook in this folder instead of fitting one")
    codebook_size: int = option(1024, help="how many audio tokens (k of k-means), 64 to 8192")
    codebook_utterances: int | None = option(
        None,
        help="training recordings sampled to fit the codebook; default: 2000, or one for each 100 "
        "frames",
    )
    codebook_frames: int | None = option(
        None,
        help="frames kept of that sample, 25 a second. The machine that fits needs frames × "
        "dimensions × 4 bytes: 123 MB for 60000 of whisper_base's 512. Default: 60000, or 200 a "
        "token above 1024 tokens",
    )
    shards: int = option(32, help="units of work, each read, tokenized and written in one go")
    voices: int = option(
        1, help="demo: recordings of each training sentence and language; words: of each word"
    )
    words: int = option(
        4000, help="words: how many of each language, the commonest, spoken by eSpeak NG"
    )
    max_seconds: float = option(
        600.0,
        help="longer recordings are rejected; 36000 allows ten hours, which need the memory of "
        "ten minutes",
    )
    max_rejects: float = option(0.05, help="fail if a larger share of the rows is rejected")
    seed: int = option(0, help="seeds the sample and k-means")
    only_rejects: str = option(
        "",
        help="prepare what this folder rejected: the rows of its corpus that it has no pair of. "
        "Its own options are the defaults",
    )
    limit: int | None = option(None, help="read only so many rows of the corpus")
    overwrite: bool = option(False, help="throw away what is there and begin anew")
    dry_run: bool = option(False, help="print what would be read and written, then stop")

    def __post_init__(self) -> None:
        refuse_unknown(self.speech_encoder)
        # Resolved here, so that a run that is resumed elsewhere goes on as it began.
        precision = "float32" if self.speech_encoder == "mfcc" else self.speech_precision
        object.__setattr__(self, "speech_precision", resolve_precision(precision))
        frames = self.codebook_frames
        if frames is None:
            frames = 60_000 if self.codebook_size <= 1024 else 200 * self.codebook_size
        utterances = self.codebook_utterances
        if utterances is None:
            utterances = max(2000, -(-frames // 100))
        object.__setattr__(self, "codebook_frames", frames)
        object.__setattr__(self, "codebook_utterances", utterances)
        object.__setattr__(self, "accelerator", accelerator.resource_hint(self.accelerator))
        if unknown := set(self.splits) - set(SPLITS):
            raise ValueError(f"--splits: {', '.join(sorted(unknown))} is none of train, dev, test")
        for name in ("codebook_size", "codebook_utterances", "codebook_frames", "shards"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
        if self.model_copies < 0:
            raise ValueError("--model-copies can't be negative")
        if self.limit is not None and self.limit < 1:
            raise ValueError("--limit must be at least 1")
        if not 0 <= self.max_rejects <= 1:
            raise ValueError("--max-rejects is a share between 0 and 1")
        if self.synthetic_languages and not self.synthetic:
            raise ValueError("--synthetic-languages needs --synthetic: in how many voices")
        if self.synthetic_only and not (self.synthetic_languages and self.codebook):
            raise ValueError(
                "--synthetic-only needs --synthetic-languages, and another's --codebook"
            )
        if self.only_rejects and self.codebook != storage.join(self.only_rejects, "codebook"):
            raise ValueError("--only-rejects takes the codebook of its folder: no --codebook")
        if self.codebook_size > 32_767:
            raise ValueError("--codebook-size can't pass 32767: audio tokens are stored as int16")

    def content(self) -> dict[str, Any]:
        """What decides the output's bytes, not where or whether it is made."""
        apart = ("output", "overwrite", "dry_run", "max_rejects", "accelerator", "model_copies")
        values = {k: v for k, v in command_line.as_dict(self).items() if k not in apart}
        return {k: v for k, v in values.items() if k not in LATER or v != LATER[k]}


LATER: dict[str, Any] = {
    **{"corpus_path": "", "languages": [], "splits": [], "also": [], "min_score": 1.04},
    **{"train_languages": [], "speeds": [], "synthetic": 0, "synthetic_languages": []},
    **{"synthetic_only": False, "held_out": []},
    "speech_precision": "float32",
    "only_rejects": "",
    "words": 4000,
}
"""Options that came later, with what was done before: directories of then stay what they are."""
