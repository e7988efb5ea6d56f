"""What a language model is asked, so that it translates."""

from __future__ import annotations

import re

from pipelines import storage
from pipelines.utterance import LANGUAGES

TRANSLATEGEMMA = """\
<start_of_turn>user
You are a professional {source_language} ({source_code}) to {target_language} ({target_code}) \
translator. Your goal is to accurately convey the meaning and nuances of the original \
{source_language} text while adhering to {target_language} grammar, vocabulary, and cultural \
sensitivities.
Produce only the {target_language} translation, without any additional explanations or \
commentary. Please translate the following {source_language} text into {target_language}:


{text}<end_of_turn>
<start_of_turn>model
"""
"""What TranslateGemma was trained to be asked (its technical report, arXiv 2601.09012)."""

BUILT_IN = {"translategemma": TRANSLATEGEMMA}
MAX_CHARACTERS = 20_000
_PLACE = re.compile(r"\{(\w*)\}")
_CONTROL = re.compile(r"<(?=[|/]?\w+[|]?>)")
_NAMES = ("source_language", "target_language", "source_code", "target_code", "text")


def template(prompt: str, preset: str) -> str:
    """The template meant by `--prompt`.

    Args:
        prompt: a built-in name, a file, or the template itself (recognised by its `{text}`); if
            empty, the one built in for the preset.
        preset: the preset's name.

    Raises:
        ValueError: none of these, or one with other places than those that are filled in.
    """
    if not prompt:
        built_in = [text for name, text in BUILT_IN.items() if name in preset.lower()]
        if not built_in:
            raise ValueError(
                f"--prompt is needed: no template is built in for {preset}. Give a file, or a text "
                'such as "{source_language}: {text}\\n{target_language}:"'
            )
        return built_in[0]
    text = BUILT_IN.get(prompt, "") or prompt.replace("\\n", "\n")
    if "{text}" not in text:
        try:
            text = storage.read_bytes(prompt).decode("utf-8")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise ValueError(
                f"--prompt {prompt!r} has no {{text}}, nor is it a file: {error}"
            ) from None
    unknown = [name for name in _PLACE.findall(text) if name not in _NAMES]
    if unknown or "{text}" not in text or len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"--prompt {prompt[:40]!r} must hold {{text}} and may hold "
            f"{', '.join(f'{{{name}}}' for name in _NAMES[:-1])}"
            + (f"; it has {{{unknown[0]}}}" if unknown else "")
        )
    return text


def filled(template: str, text: str, source: str, target: str) -> str:
    """A template with its places filled in.

    Args:
        template: what `template` returned.
        text: to be translated. What looks like a model's control token (`<end_of_turn>`) is
            broken up: a text must not end its own turn.
        source: its language, a key of `LANGUAGES`.
        target: the language to translate into.
    """
    values = {
        "source_language": LANGUAGES[source].name,
        "target_language": LANGUAGES[target].name,
        "source_code": source,
        "target_code": target,
        "text": _CONTROL.sub("< ", text),
    }
    return _PLACE.sub(lambda place: values[place[1]], template)
