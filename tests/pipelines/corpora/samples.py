"""Small samples of published corpora, exactly as they are published."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

from tests.pipelines.archives import tar, tar_gz
from tests.pipelines.sounds import encoded, voice

FLEURS_TEXT = {
    "en_us": ['However, due to the slow "channels", styles in the west lag.', "The city is old."],
    "fr_fr": ["Cependant, en raison de la lenteur des « canaux ».", "La ville est ancienne."],
    "cmn_hans_cn": ["这座城市很古老。", "但是渠道很慢。"],
}
GENDERS = ("MALE", "FEMALE")


def fleurs_row(id: int, file_name: str, text: str, samples: int, gender: str) -> str:
    """A line of a FLEURS table."""
    plain = "".join(c for c in text.lower() if c.isalnum() or c == " ")
    chars = " ".join("|" if c == " " else c for c in plain) + " |"
    return "\t".join([str(id), file_name, text, plain, chars, str(samples), gender])


def fleurs(
    folder: Path,
    configs: tuple[str, ...] = ("en_us", "fr_fr"),
    takes: int = 2,
    seconds: float = 0.5,
) -> Path:
    """`google/fleurs`: each sentence by several people; its tables have no header."""
    for number, config in enumerate(configs):
        (folder / "data" / config / "audio").mkdir(parents=True)
        for place, split in enumerate(("train", "dev", "test")):
            lines, files = [], []
            for take in range(takes):
                for sentence, text in enumerate(FLEURS_TEXT[config]):
                    key = 1000 * place + 100 * number + 10 * take + sentence
                    sound = voice(seconds + 0.01 * take, seed=key)
                    name = f"{10**18 + key}.wav"
                    row = (10 * place + sentence, name, text, len(sound), GENDERS[take % 2])
                    lines.append(fleurs_row(*row))
                    files.append((f"{split}/{name}", encoded(sound, subtype="FLOAT")))
            table = "".join(line + "\n" for line in lines)
            (folder / "data" / config / f"{split}.tsv").write_text(table, encoding="utf-8")
            # The archive has an order of its own.
            archive = tar_gz(reversed(files))
            (folder / "data" / config / "audio" / f"{split}.tar.gz").write_bytes(archive)
    return folder


CLIPS = [
    # Path, sentence, translation, split of CoVoST, gender as Common Voice writes it.
    ("common_voice_fr_1.mp3", "Le chat dort.", "The cat sleeps.", "train", "male"),
    ("common_voice_fr_2.mp3", '"Il a dit ""oui""."', 'He said "yes".', "train_covost", "female"),
    ("common_voice_fr_3.mp3", "Où est la gare ?", "Where is the station?", "dev", ""),
    ("common_voice_fr_4.mp3", "Merci beaucoup.", "Thank you very much.", "test", "other"),
    ("common_voice_fr_5.mp3", "Personne ne sait.", "Nobody knows.", "test_covost", ""),
    ("common_voice_fr_6.mp3", "Sans traduction.", "", "", ""),
    ("common_voice_fr_7.mp3", "", "Lost.", "train", ""),
]
CLIENT = "c0ffee" * 21 + "c0"
VOICE_COLUMNS = "client_id path sentence up_votes down_votes age gender accent locale segment"


def validated_tsv() -> str:
    """Common Voice's table of validated clips."""
    lines = ["\t".join(VOICE_COLUMNS.split())]
    for path, sentence, _, _, gender in CLIPS[:6]:
        row = [CLIENT, path, sentence, "2", "0", "twenties", gender, "", "fr", ""]
        lines.append("\t".join(row))
    return "".join(line + "\n" for line in lines)


def covost_tsv() -> str:
    """CoVoST's table; of clips that only Common Voice has it says nothing."""
    rows = [(path, text, split) for path, _, text, split, _ in CLIPS if split]
    return "".join("\t".join(row) + "\n" for row in [("path", "translation", "split"), *rows])


def clips() -> list[tuple[str, bytes]]:
    """The recordings of `CLIPS`, MP3 at 48 kHz."""
    return [
        (row[0], encoded(voice(0.6, 48_000, seed=n), 48_000, "MP3")) for n, row in enumerate(CLIPS)
    ]


def covost(folder: Path, form: str = "packed") -> Path:
    """CoVoST 2 for French, `packed` as it is published, `beside` (the table unpacked) or
    `unpacked`."""
    root = "cv-corpus-4-2019-12-10/fr"
    table, voice_table = covost_tsv().encode(), validated_tsv().encode()
    if form == "unpacked":
        (folder / "covost_v2.fr_en.tsv").write_bytes(table)
        (folder / "fr" / "clips").mkdir(parents=True)
        for name, data in clips():
            (folder / "fr" / "clips" / name).write_bytes(data)
    else:
        archive = tar_gz([("covost_v2.fr_en.tsv", table)])
        (folder / "covost_v2.fr_en.tsv.tar.gz").write_bytes(archive)
        release = [(f"{root}/clips/{name}", data) for name, data in clips()]
        release += [(f"{root}/train.tsv", b"path\n"), (f"{root}/validated.tsv", voice_table)]
        (folder / "fr.tar.gz").write_bytes(gzip.compress(tar(release), mtime=0))
    if form != "packed":
        (folder / "fr").mkdir(exist_ok=True)
        (folder / "fr" / "validated.tsv").write_bytes(voice_table)
    return folder


WIKIMATRIX = (
    "1.2530\tThe city is old.\tLa ville est ancienne.\n"
    '1.1000\tHe said "yes".\tIl a dit « oui ».\n'
    "1.0400\tIt rains.\tIl pleut.\n"
    "1.0399\tPage 12\tPage 12\n"
)

TMX = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4">
<header creationdate="Mon Jan 25 16:02:35 2021" srclang="en" adminlang="en" o-tmf="unknown"
  segtype="sentence" creationtool="Uplug" creationtoolversion="unknown" datatype="PlainText" />
  <body>
    <tu>
      <tuv xml:lang="en"><seg>It rains &amp; pours.</seg></tuv>
      <tuv xml:lang="fr"><seg>Il pleut <bpt i="1">&lt;b&gt;</bpt>des cordes<ept i="1"/>.</seg></tuv>
    </tu>
    <tu>
      <tuv xml:lang="en"><seg>Alone.</seg></tuv>
    </tu>
    <tu>
      <tuv xml:lang="en"><seg>Thank you.</seg></tuv>
      <tuv xml:lang="fr"><seg>Merci.</seg></tuv>
    </tu>
  </body>
</tmx>
"""


def moses_zip(english: str, french: str) -> bytes:
    """OPUS' zip of Moses files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README", "Corpus Name: Tatoeba\n")
        archive.writestr("LICENSE", "CC BY 2.0 FR\n")
        archive.writestr("Tatoeba.en-fr.en", english)
        archive.writestr("Tatoeba.en-fr.fr", french)
        archive.writestr("Tatoeba.en-fr.ids", "en/1.xml.gz\tfr/1.xml.gz\t1\t1\n")
    return buffer.getvalue()


STAMPS = {
    # As Tux Paint has them: English, then one line a language; `ca@valencia` is no recording's.
    "animals/frog": ("A frog.", {"bg": "Жаба.", "es": "Una rana.", "ca@valencia": "Una granota."}),
    "animals/frog-1": ("A  frog", {"bg": "Жаба.", "es": "Una rana."}),
    "food/mushroom": ("A mushroom.", {"bg": "Гъба.", "es": "Un hongo.", "pt_BR": "Um cogumelo."}),
    "food/cep": ("A cep.", {"bg": "Манатарка.", "es": "Un hongo.", "pt_BR": "Um porcino."}),
    "town/inn": ("An inn.", {"bg": "Хан.", "es": "", "tlh": "tlhIngan"}),
}


def tuxpaint(folder: Path) -> Path:
    """`tuxpaint-stamps-default`, unpacked: pictures, their texts and effects, spoken texts."""
    root = folder / "tuxpaint/usr/share/tuxpaint/stamps"
    for number, (stem, (english, texts)) in enumerate(STAMPS.items()):
        path = root / stem
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [english, *(f"{tag}.utf8={text}" for tag, text in texts.items())]
        path.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        path.with_suffix(".png").write_bytes(b"\x89PNG")
        path.with_suffix(".ogg").write_bytes(encoded(voice(0.3), form="OGG"))
        for place, tag in enumerate(("bg", "es")):
            sound = encoded(
                voice(0.4 + 0.05 * place, 22_050, seed=9 * number + place), 22_050, "OGG"
            )
            Path(f"{path}_desc_{tag}.ogg").write_bytes(sound)
    again = (root / "animals/frog_desc_es.ogg").read_bytes()
    (root / "animals/frog-1_desc_es.ogg").write_bytes(again)
    (root / "animals/frog_desc.ogg").write_bytes(encoded(voice(0.5, seed=99), form="OGG"))
    (root / "food/cep_desc_pt_BR.wav").write_bytes(encoded(voice(0.5, seed=98)))
    (root / "town/gone_desc_bg.ogg").write_bytes(again)
    (root / "town/inn_desc_tlh.ogg").write_bytes(again)
    return folder / "tuxpaint"


CLDR_NAMES = {
    "en": {"🦎": "lizard", "👍": "thumbs up", "👍🏽": "thumbs up: medium skin tone", "🌮": "taco"},
    "fr": {"🦎": "lézard", "👍": "pouce vers le haut", "👍🏽": "pouce : peau mate", "🌮": "Taco"},
    "el": {"🦎": "σαύρα", "👍": "μπράβο", "🌮": " ", "🦙": "λάμα"},
}
CLDR_FLAGS = {"en": {"🇫🇷": "flag: France"}, "fr": {"🇫🇷": "drapeau : France"}}


def cldr(
    folder: Path, key: str = "annotations", names: dict[str, dict[str, str]] = CLDR_NAMES
) -> Path:
    """One of the packages as npm unpacks it, with a region's names beside."""
    package = folder / f"cldr-{key}" / "package"
    for language, own in {**names, "fr-CA": {"🦎": "lézard d’ici"}}.items():
        path = package / key / language / "annotations.json"
        path.parent.mkdir(parents=True)
        entries = {e: {"default": ["x"], "tts": [name]} for e, name in own.items()}
        entries["€"] = {"default": ["a sign without a name"]}
        path.write_text(json.dumps({key: {"annotations": entries}}), encoding="utf-8")
    return folder
