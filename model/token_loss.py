"""How well a causal backbone predicts everyday sentences: proof that its weights are in place.

Shapes prove little: a norm off by one, a transposed head or a wrong rotation fit just as well. A
language model with all of it right has a loss of a few nats a token; with random weights, that of a
uniform guess, `log(vocabulary)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines import quiet  # noqa: F401  (before TensorFlow)

SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "The weather is nice today.",
        "She goes to school every morning.",
        "I would like a cup of coffee, please.",
    ),
    "fr": (
        "Il fait beau aujourd'hui.",
        "Elle va à l'école tous les matins.",
        "Je voudrais une tasse de café, s'il vous plaît.",
    ),
    "it": (
        "Oggi il tempo è bello.",
        "Lei va a scuola ogni mattina.",
        "Vorrei una tazza di caffè, per favore.",
    ),
    "es": (
        "Hoy hace buen tiempo.",
        "Ella va a la escuela todas las mañanas.",
        "Quisiera una taza de café, por favor.",
    ),
    "de": (
        "Das Wetter ist heute schön.",
        "Sie geht jeden Morgen zur Schule.",
        "Ich hätte gern eine Tasse Kaffee, bitte.",
    ),
    "ru": (
        "Сегодня хорошая погода.",
        "Она каждое утро ходит в школу.",
        "Я хотел бы чашку кофе, пожалуйста.",
    ),
    "tr": ("Bugün hava güzel.", "Her sabah okula gidiyor.", "Bir fincan kahve istiyorum, lütfen."),
    "ar": ("الطقس جميل اليوم.", "تذهب إلى المدرسة كل صباح.", "أريد فنجانا من القهوة من فضلك."),
    "fa": ("امروز هوا خوب است.", "او هر روز صبح به مدرسه می‌رود.", "لطفا یک فنجان قهوه می‌خواهم."),
    "zh": ("今天天气很好。", "她每天早上去上学。", "请给我一杯咖啡。"),
    "ja": ("今日は天気がいいです。", "彼女は毎朝学校に行きます。", "コーヒーを一杯お願いします。"),
    "ko": ("오늘 날씨가 좋습니다.", "그녀는 매일 아침 학교에 갑니다.", "커피 한 잔 주세요."),
}
"""Three everyday sentences in each of twelve languages."""

GEMMA3_270M = {
    "en": 3.03,
    "fr": 2.59,
    "it": 3.82,
    "es": 2.89,
    "de": 4.04,
    "ru": 3.96,
    "tr": 4.82,
    "ar": 4.02,
    "fa": 3.95,
    "zh": 4.54,
    "ja": 3.30,
    "ko": 2.87,
}
"""What `token_losses` gives for the pinned weights in float32."""

TOLERANCE = 0.15
"""More than rounding to 16 bits changes, which was 0.01."""


def token_losses(backbone: Any, tokenizer: Any) -> dict[str, float]:
    """The mean loss per token, in nats, of each language's sentences, but for their first tokens.

    Nothing tells what a sentence begins with.

    Args:
        backbone: a causal KerasHub backbone with a tied table.
        tokenizer: its tokenizer, with a start token.
    """
    return {
        language: float(
            np.mean(np.concatenate([_losses(backbone, tokenizer, s)[1:] for s in texts]))
        )
        for language, texts in SENTENCES.items()
    }


def _losses(backbone: Any, tokenizer: Any, text: str) -> np.ndarray:
    from keras import ops

    pieces = [int(i) for i in np.asarray(tokenizer([text])[0])]
    ids = np.array([[tokenizer.start_token_id, *pieces]], np.int32)
    states = backbone({"token_ids": ids, "padding_mask": np.ones_like(ids)})
    # The table first: the other way about, a copy of all of it would be transposed.
    logits = ops.matmul(backbone.token_embedding.embeddings, ops.transpose(states[0, :-1]))
    right = ops.take_along_axis(logits, ids[:, 1:], axis=0)[0]
    losses: np.ndarray = ops.convert_to_numpy(ops.logsumexp(logits, axis=0) - right)
    return losses
