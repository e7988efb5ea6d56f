"""A sound file decoded inside a TensorFlow graph: bytes in, mono samples at 16 kHz out.

What an exported model has in front; everywhere else `pipelines.audio` decodes, which is faster and
notices more damage. FLAC, OGG Vorbis and MP3 are decoded, and all are resampled, by tensorflow-io.
Its operations don't tell the sample rate, and some input ends the process (empty bytes in
`decode_vorbis`, a block size of 0 in `decode_wav`), so the headers are read here, before any of
them runs, and WAV is read here altogether.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines import quiet  # noqa: F401  (before TensorFlow)
from pipelines.audio import MAX_SECONDS, MIN_SECONDS, SAMPLE_RATE

MIN_BYTES = 44
"""What the shortest header of the four formats has."""

_RATES = (4_000, 768_000)
_UNKNOWN_WAV_SIZE = 0x7FFFF000
_MAX_WAV_CHUNKS = 100
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FLAC_HEAD = 8
# A FLAC frame whose sample number, 2**36 - 1, is never the next one: on it the decoder gives up.
_FLAC_STOP = bytes.fromhex("fff96002febfbfbfbfbfbf0ff60000c716")
_FLAC_STOPS = 2**17
_OGG_HEAD = 28
_VORBIS = b"\x01vorbis"
_MP3_RATES = ((11025, 12000, 8000, 0), (0,) * 4, (22050, 24000, 16000, 0), (44100, 48000, 32000, 0))
# tensorflow-io's resampler answers half a filter late: 32 samples at the lower of the two rates.
_DELAY = 32


def decode(data: Any, name: Any) -> Any:
    """Decodes one file: WAV, FLAC, OGG Vorbis or MP3, told apart by content.

    Args:
        data: the whole file, a string scalar. WAV may hold 8, 16, 24 or 32-bit integers or floats,
            FLAC 8, 16 or 24-bit integers; any number of channels, 4 to 768 kHz.
        name: what to call it in an error, a string scalar.

    Returns:
        float32 `[samples]` at 16 kHz in [-1, 1], as `pipelines.audio.decode_audio` gives: the mean
        of the channels, scaled down to a peak of 1 where it was above.

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs: there are no bytes or too few, they are
            none of the four formats, the file is cut or damaged (as far as its header or the
            decoder tells), or it holds under 0.05 s or over 600 s.
    """
    import tensorflow as tf

    data = _require(data, _length(data) > 0, name, "is empty (0 bytes)")
    enough = _length(data) >= MIN_BYTES
    data = _require(data, enough, name, f"has fewer than {MIN_BYTES} bytes, too few for sound")
    magic = tf.strings.substr(data, 0, 4)
    is_wav = (magic == b"RIFF") & (_part(data, 8, 4) == b"WAVE")
    is_mp3 = (tf.strings.substr(data, 0, 3) == b"ID3") | (_mp3_rate(data, 0) > 0)
    sound, rate = tf.case(
        [
            (is_wav, lambda: _wav(data, name)),
            (magic == b"fLaC", lambda: _flac(data, name)),
            (magic == b"OggS", lambda: _vorbis(data, name)),
            (is_mp3, lambda: _mp3(data, name)),
        ],
        default=lambda: _refuse(data, name),
    )
    return _finish(tf.ensure_shape(sound, [None]), rate, name)


def _finish(sound: Any, rate: Any, name: Any) -> Any:
    """Mono float32 `[samples]` at `rate` Hz, checked, brought to 16 kHz and within [-1, 1]."""
    import tensorflow as tf

    allowed = (rate >= _RATES[0]) & (rate <= _RATES[1])
    rate = _require(rate, allowed, name, "has a sample rate outside 4 to 768 kHz")
    seconds = tf.cast(tf.size(sound), tf.float64) / tf.cast(rate, tf.float64)
    sound = _require(sound, seconds >= MIN_SECONDS, name, f"holds less than {MIN_SECONDS} s")
    sound = _require(sound, seconds <= MAX_SECONDS, name, f"holds more than {MAX_SECONDS:g} s")
    finite = tf.reduce_all(tf.math.is_finite(sound))
    sound = _require(sound, finite, name, "holds NaN or infinite samples")
    sound = sound / tf.maximum(tf.reduce_max(tf.abs(sound)), 1.0)
    sound = tf.cond(rate == SAMPLE_RATE, lambda: sound, lambda: _resample(sound, rate))
    return tf.clip_by_value(sound, -1.0, 1.0)


def _resample(sound: Any, rate: Any) -> Any:
    """To 16 kHz without delay, as many samples as soxr gives."""
    import tensorflow as tf
    import tensorflow_io as tfio

    ratio = SAMPLE_RATE / tf.cast(rate, tf.float64)
    length = tf.cast(tf.floor(tf.cast(tf.size(sound), tf.float64) * ratio + 0.5), tf.int32)
    # Upwards, silence in front fills the delay to a second, or it would be no whole number.
    upwards, rate_int = rate < SAMPLE_RATE, tf.cast(rate, tf.int32)
    before = tf.where(upwards, rate_int - _DELAY, 0)
    delay = tf.where(upwards, SAMPLE_RATE, _DELAY)
    behind = tf.maximum(_DELAY, _DELAY * rate_int // SAMPLE_RATE) + 2
    padded = tf.pad(sound, [[before, behind]])
    resampled = tfio.audio.resample(padded, rate, SAMPLE_RATE)
    return tf.ensure_shape(resampled, [None])[delay : delay + length]


def _wav(data: Any, name: Any) -> tuple[Any, Any]:
    import tensorflow as tf

    form, place, size = _wav_chunks(data)
    found = (_length(form) >= 16) & (place >= 0)
    form = _require(form, found, name, "is a WAV file that ends before its sound begins")
    there = _length(data) - place
    whole = (size <= there) | (size >= _UNKNOWN_WAV_SIZE)
    form = _require(form, whole, name, "is cut: a WAV file shorter than its header says")
    channels, rate, bits = _number(form, 2, 2), _number(form, 4, 4), _number(form, 14, 2)
    tag = _number(form, 0, 2)
    tag = tf.where(tag == _EXTENSIBLE, _number(form, 24, 2), tag)
    channels = _require(channels, channels > 0, name, "is a WAV file without channels")
    size = tf.minimum(size, there)
    size -= size % tf.maximum(channels * (bits // 8), 1)
    sound = _part(data, place, size)

    def reader(dtype: Any, zero: float, full: float) -> Callable[[], Any]:
        return lambda: (tf.cast(tf.io.decode_raw(sound, dtype), tf.float32) - zero) / full

    def packed() -> Any:
        low, middle, high = tf.unstack(
            tf.reshape(tf.cast(tf.io.decode_raw(sound, tf.uint8), tf.float32), [-1, 3]), axis=1
        )
        high = tf.where(high < 128, high, high - 256)
        return (low + 256 * middle + 65536 * high) / 2.0**23

    readers = {
        (_PCM, 8): reader(tf.uint8, 128.0, 2.0**7),
        (_PCM, 16): reader(tf.int16, 0.0, 2.0**15),
        (_PCM, 24): packed,
        (_PCM, 32): reader(tf.int32, 0.0, 2.0**31),
        (_FLOAT, 32): reader(tf.float32, 0.0, 1.0),
        (_FLOAT, 64): reader(tf.float64, 0.0, 1.0),
    }
    samples = tf.case(
        [((tag == t) & (bits == b), read) for (t, b), read in readers.items()],
        default=lambda: _refuse(data, name, "is a WAV file of neither integers nor floats")[0],
    )
    return _mono(tf.reshape(samples, [-1, tf.cast(channels, tf.int32)])), rate


def _wav_chunks(data: Any) -> tuple[Any, Any, Any]:
    """What the `fmt ` chunk holds, and place and size of the sound; -1 and 0 if there is none."""
    import tensorflow as tf

    end = _length(data)

    def goes_on(place: Any, form: Any, sound: Any, size: Any) -> Any:
        return (sound < 0) & (place + 8 <= end)

    def next_chunk(place: Any, form: Any, sound: Any, size: Any) -> tuple[Any, Any, Any, Any]:
        label, length = _part(data, place, 4), _number(data, place + 4, 4)
        form = tf.where(label == b"fmt ", _part(data, place + 8, tf.minimum(length, 40)), form)
        is_sound = label == b"data"
        sound = tf.where(is_sound, place + 8, sound)
        return place + 8 + length + length % 2, form, sound, tf.where(is_sound, length, size)

    start = [tf.constant(n, tf.int64) for n in (12, -1, 0)]
    _, form, sound, size = tf.while_loop(
        goes_on,
        next_chunk,
        (start[0], tf.constant(b""), start[1], start[2]),
        maximum_iterations=_MAX_WAV_CHUNKS,
    )
    return form, sound, size


def _flac(data: Any, name: Any) -> tuple[Any, Any]:
    import tensorflow as tf
    import tensorflow_io as tfio

    # RFC 9639, section 8.2: 20 bits of rate, 3 of channels, 5 of sample size, 36 of samples.
    field = _number(data, _FLAC_HEAD + 10, 8, big_endian=True)
    rate, bits = field // 2**44 % 2**20, field // 2**36 % 2**5 + 1
    samples = field % 2**36
    data = _require(data, samples > 0, name, "is a FLAC file that doesn't know its length")
    promised = tf.cast(samples, tf.float64) <= MAX_SECONDS * tf.cast(rate, tf.float64)
    data = _require(data, promised, name, f"holds more than {MAX_SECONDS:g} s")

    known = (bits == 8) | (bits == 16) | (bits == 24)
    data = _require(data, known, name, "is a FLAC file of neither 8, 16 nor 24 bits")
    # At the end of a file that promised more, the decoder would wait for ever. One frame to stop at
    # may be swallowed by a frame that is cut; this many are longer than any frame.
    stops = tf.strings.reduce_join(tf.fill([_FLAC_STOPS], tf.constant(_FLAC_STOP)))
    stopping = tf.strings.join([data, stops])

    def reader(dtype: Any, zero: float, full: float) -> Callable[[], Any]:
        def read() -> Any:
            heard = tf.size(tfio.audio.decode_flac(stopping, dtype=dtype))
            # Then without the stops: with them, a last frame that is cut becomes silence.
            whole = _require(data, heard > 0, name, "holds no sound")
            return (tf.cast(tfio.audio.decode_flac(whole, dtype=dtype), tf.float32) - zero) / full

        return read

    readers = [
        reader(tf.uint8, 128.0, 2.0**7),
        reader(tf.int16, 0.0, 2.0**15),
        # 24 bits come in the upper part of 32.
        reader(tf.int32, 0.0, 2.0**31),
    ]
    return _mono(tf.switch_case(tf.cast(bits // 8 - 1, tf.int32), readers)), rate


def _vorbis(data: Any, name: Any) -> tuple[Any, Any]:
    import tensorflow as tf
    import tensorflow_io as tfio

    codec = _part(data, _OGG_HEAD, len(_VORBIS))
    reason = "is an OGG file of another codec than Vorbis; convert it"
    data = _require(data, codec == _VORBIS, name, reason)
    streams = tf.size(tf.strings.split(data, _VORBIS)) - 1
    # A later stream with fewer channels would make the decoder read past its buffers.
    data = _require(data, streams == 1, name, "is an OGG file of several streams")
    last = tf.strings.split(data, b"OggS")[-1]
    segments = _number(last, 22, 1)
    sizes = tf.io.decode_raw(_part(last, 23, segments), tf.uint8)
    size = 23 + segments + tf.reduce_sum(tf.cast(sizes, tf.int64))
    ends = _number(last, 1, 1) // 4 % 2 == 1
    whole = ends & (_length(last) >= size)
    data = _require(data, whole, name, "is cut: an OGG file without its last page")
    return _mono(tfio.audio.decode_vorbis(data)), _number(data, _OGG_HEAD + 12, 4)


def _mp3(data: Any, name: Any) -> tuple[Any, Any]:
    import tensorflow as tf
    import tensorflow_io as tfio

    def is_tag(place: Any) -> Any:
        return _part(data, place, 3) == b"ID3"

    def skip_tag(place: Any) -> tuple[Any]:
        size = sum(_number(data, place + 6 + i, 1) % 128 * 128 ** (3 - i) for i in range(4))
        footer = _number(data, place + 5, 1) // 16 % 2 * 10
        return (place + 10 + size + footer,)

    (start,) = tf.while_loop(is_tag, skip_tag, (tf.constant(0, tf.int64),))
    rate = _mp3_rate(data, start)
    data = _require(data, rate > 0, name, "begins with an ID3 tag, but no MP3 is behind it")
    # The decoder makes room for all it is promised.
    frame = tf.where(rate < 32_000, tf.constant(576, tf.int64), 1152)
    promised = frame * _mp3_frames(data, start)
    allowed = tf.cast(promised, tf.float64) <= MAX_SECONDS * tf.cast(rate, tf.float64)
    data = _require(data, allowed, name, f"holds more than {MAX_SECONDS:g} s")
    return _mono(tfio.audio.decode_mp3(data)), rate


def _mp3_frames(data: Any, place: Any) -> Any:
    """How many frames the Xing header in the frame at `place` promises; 0 without one."""
    import tensorflow as tf

    head = _part(data, place, 64)

    def frames(mark: bytes) -> Any:
        behind = tf.strings.split(head, mark)[-1]
        found = (_length(behind) < _length(head)) & (_number(behind, 3, 1) % 2 == 1)
        return tf.where(found, _number(behind, 4, 4, big_endian=True), 0)

    return tf.maximum(frames(b"Xing"), frames(b"Info"))


def _mp3_rate(data: Any, place: Any) -> Any:
    """Hz by the MPEG layer III frame header at `place`; 0 if there is none."""
    import tensorflow as tf

    header = _number(data, place, 4, big_endian=True)
    version, layer = header // 2**19 % 4, header // 2**17 % 4
    kbps, rate = header // 2**12 % 16, header // 2**10 % 4
    is_frame = (header // 2**21 == 0x7FF) & (layer == 1) & (kbps > 0) & (kbps < 15)
    rates = tf.constant(_MP3_RATES, tf.int64)
    return tf.where(is_frame, tf.gather_nd(rates, tf.stack([version, rate])), 0)


def _refuse(
    data: Any, name: Any, reason: str = "is no WAV, FLAC, OGG Vorbis or MP3 file"
) -> tuple[Any, Any]:
    import tensorflow as tf

    data = _require(data, tf.constant(False), name, reason)
    # Never computed, but a branch must have something to return.
    return tf.cast(tf.io.decode_raw(data, tf.uint8), tf.float32), tf.constant(0, tf.int64)


def _mono(sound: Any) -> Any:
    """The mean of the channels: `[samples, channels]` to `[samples]`."""
    import tensorflow as tf

    # In float64: the sum of two huge float32 channels would be infinite.
    return tf.cast(tf.reduce_mean(tf.cast(sound, tf.float64), axis=1), tf.float32)


def _part(data: Any, place: Any, size: Any) -> Any:
    """Some bytes; fewer where the data ends before."""
    import tensorflow as tf

    end = _length(data)
    place, size = tf.cast(place, tf.int64), tf.cast(size, tf.int64)
    return tf.strings.substr(data, tf.minimum(place, end), size)


def _length(data: Any) -> Any:
    """The number of bytes, int64."""
    import tensorflow as tf

    return tf.cast(tf.strings.length(data), tf.int64)


def _number(data: Any, place: Any, size: int, *, big_endian: bool = False) -> Any:
    """The unsigned integer of `size` bytes at `place`, int64; missing bytes count as 0."""
    import tensorflow as tf

    raw = tf.cast(tf.io.decode_raw(_part(data, place, size), tf.uint8), tf.int64)
    raw = tf.pad(raw, [[0, size - tf.size(raw)]])
    powers = [256**i for i in range(size)]
    return tf.reduce_sum(raw * tf.constant(powers[::-1] if big_endian else powers, tf.int64))


def _require(value: Any, condition: Any, name: Any, reason: str) -> Any:
    """The value, but only where the condition holds; nothing that needs it runs before."""
    import tensorflow as tf

    message = tf.strings.join([name, reason], separator=" ")
    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(value)
