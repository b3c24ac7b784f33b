"""
Trains the sequence models of `npm run bench:sequences` and of test/fixtures/sequences, and writes them as TF.js models,
each with samples for calibration and others for evaluation:

    python3 -m venv build/tensorflow && . build/tensorflow/bin/activate
    pip install tensorflow-cpu==2.21.0 tf_keras==2.21.0 && pip install --no-deps tensorflowjs==4.22.0
    python scripts/train-sequences.py --text tinyshakespeare.txt --audio speech.wav --output build/sequences

Any text of 100 000 characters or more will do, and any recording of 16 bits and one channel. Without --audio there is no
speech model. A seed is set, but TensorFlow does not train to the bit on every machine.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import types
import wave
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import keras
import tf_keras
from keras import layers

BATCH = 32
HEADS = 4
CLASSES = 8
WORDS = 2000


def converter():
    """tensorflowjs imports packages for model formats that are not used here, and names that NumPy has dropped."""
    for name in ["tensorflow_decision_forests", "tensorflow_hub", "jax", "jax.experimental", "jax.experimental.jax2tf"]:
        sys.modules.setdefault(name, types.ModuleType(name))
    np.object, np.bool = object, bool
    from tensorflowjs.converters import converter, tf_saved_model_conversion_v2

    return converter, tf_saved_model_conversion_v2


class Positions(layers.Layer):
    def build(self, shape):
        self.positions = self.add_weight(shape=shape[1:], initializer="random_normal", name="positions")

    def call(self, x):
        return x + self.positions


def gelu(x):
    return 0.5 * x * (1 + tf.math.erf(x * 0.5**0.5))


def encoder_block(x, width, causal):
    h = layers.LayerNormalization(epsilon=1e-5)(x)
    x = x + layers.MultiHeadAttention(HEADS, width // HEADS)(h, h, use_causal_mask=causal)
    h = layers.LayerNormalization(epsilon=1e-5)(x)
    return x + layers.Dense(width)(layers.Dense(4 * width, activation=gelu)(h))


def transformer(steps, width, symbols):
    tokens = keras.Input((steps,), dtype="int32")
    x = Positions()(layers.Embedding(symbols, width)(tokens))
    for _ in range(2):
        x = encoder_block(x, width, causal=True)
    return keras.Model(tokens, layers.Dense(symbols)(layers.LayerNormalization(epsilon=1e-5)(x)))


def recurrent(library, cell, **arguments):
    """A model of layers is one of Keras 2, whose configurations TF.js 4.22 reads."""

    def build(steps, width, symbols):
        tokens = library.Input((steps,), dtype="int32")
        x = library.layers.Embedding(symbols, width)(tokens)
        for _ in range(2):
            x = getattr(library.layers, cell)(width, return_sequences=True, **arguments)(x)
        return library.Model(tokens, library.layers.Dense(symbols)(x))

    return build


def classifier(steps, width, symbols):
    """Of sentences: embeddings of words, two blocks of an encoder, the mean."""
    tokens = keras.Input((steps,), dtype="int32")
    x = Positions()(layers.Embedding(symbols, width)(tokens))
    for _ in range(2):
        x = encoder_block(x, width, causal=False)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-5)(x))
    return keras.Model(tokens, layers.Dense(CLASSES)(x))


def speech(frames, width, bands):
    """Of commands: one-dimensional convolutions on a spectrogram."""
    spectrum = keras.Input((frames, bands))
    x = spectrum
    for filters, stride in [(width, 1), (width, 2), (2 * width, 1), (2 * width, 2)]:
        x = layers.Conv1D(filters, 5, strides=stride, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(spectrum, layers.Dense(CLASSES)(layers.Dense(width, activation="relu")(x)))


class Characters:
    """The next character at each place."""

    def __init__(self, text, steps):
        symbols = sorted(set(text))
        self.ids = np.array([symbols.index(c) for c in text], np.int32)
        self.steps, self.symbols = steps, len(symbols)

    def draw(self, random, count):
        starts = random.integers(0, len(self.ids) - self.steps - 1, count)
        windows = np.stack([self.ids[i : i + self.steps + 1] for i in starts])
        return windows[:, :-1], windows[:, 1:]


class Sentences:
    """Which eighth of the text a run of words comes from: its scenes differ in persons and subjects."""

    def __init__(self, text, steps):
        words = text.lower().split()
        counts = {}
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        known = sorted(counts, key=lambda word: (-counts[word], word))[: WORDS - 1]
        number = {word: i + 1 for i, word in enumerate(known)}
        self.ids = np.array([number.get(word, 0) for word in words], np.int32)
        self.steps, self.symbols = steps, WORDS

    def draw(self, random, count):
        starts = random.integers(0, len(self.ids) - self.steps, count)
        return np.stack([self.ids[i : i + self.steps] for i in starts]), starts * CLASSES // len(self.ids)


class Commands:
    """How a second of speech was changed: played backwards, faster, slower, or with its spectrum turned round."""

    BANDS, HOP, WINDOW = 40, 256, 1024

    def __init__(self, path, steps):
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
        edges = 700 * (10 ** (np.linspace(0, 1, self.BANDS + 2) * np.log10(1 + rate / 1400)) - 1)
        bins = edges / rate * self.WINDOW
        at = np.arange(self.WINDOW // 2 + 1)
        rising = (at - bins[:-2, None]) / (bins[1:-1] - bins[:-2])[:, None]
        falling = (bins[2:, None] - at) / (bins[2:] - bins[1:-1])[:, None]
        self.filters = np.maximum(0, np.minimum(rising, falling)).T
        self.samples, self.steps, self.symbols = samples, steps, self.BANDS

    def spectrum(self, start, speed):
        count = (self.steps - 1) * self.HOP + self.WINDOW
        piece = np.interp(start + speed * np.arange(count), np.arange(len(self.samples)), self.samples)
        frames = np.stack([piece[i * self.HOP :][: self.WINDOW] for i in range(self.steps)])
        power = np.abs(np.fft.rfft(frames * np.hanning(self.WINDOW))) ** 2
        return np.log(power @ self.filters + 1e-6)

    def draw(self, random, count):
        kinds = random.integers(0, CLASSES, count)
        last = len(self.samples) - int(1.5 * (self.steps * self.HOP + self.WINDOW))
        found = []
        for kind in kinds:
            spectrum = self.spectrum(random.integers(0, last), [1, 1, 1.3, 0.75][kind % 4])
            spectrum = spectrum[::-1] if kind % 4 == 1 else spectrum
            found.append(spectrum[:, ::-1] if kind >= 4 else spectrum)
        return np.stack(found).astype(np.float32), kinds


MODELS = {
    "transformer": (transformer, Characters, "graph"),
    "lstm": (recurrent(keras, "LSTM"), Characters, "graph"),
    "gru": (recurrent(keras, "GRU"), Characters, "graph"),
    "lstm-layers": (recurrent(tf_keras, "LSTM"), Characters, "layers"),
    "gru-layers": (recurrent(tf_keras, "GRU", reset_after=False), Characters, "layers"),
    "sentences": (classifier, Sentences, "graph"),
    "speech": (speech, Commands, "graph"),
}


def repair(folder):
    """
    Loops of TensorFlow 2.21 wait for a NoOp, for which TF.js 4.22 waits for ever: float TF.js is compared with. And
    tensorflowjs may write another name for bool, which TF.js does not know.
    """
    path = folder / "model.json"
    model = json.loads(path.read_text())
    nodes = model["modelTopology"]["node"]
    barriers = {f"^{node['name']}" for node in nodes if node["op"] == "NoOp"}
    for node in nodes:
        node["input"] = [name for name in node.get("input", []) if name not in barriers]
    for weight in (weight for group in model["weightsManifest"] for weight in group["weights"]):
        weight["dtype"] = weight["dtype"].replace("bool8", "bool")
    path.write_text(json.dumps(model, separators=(",", ":")))


def write(model, form, folder, half):
    converter_module, saved_models = converter()
    quantization = {"float16": True} if half else None
    with tempfile.TemporaryDirectory() as scratch:
        if form == "layers":
            path = f"{scratch}/model.h5"
            model.save(path, include_optimizer=False)
            converter_module.dispatch_keras_h5_to_tfjs_layers_model_conversion(
                path, str(folder), quantization_dtype_map=quantization
            )
            return
        model.export(f"{scratch}/saved", verbose=False)
        saved_models.convert_tf_saved_model(
            f"{scratch}/saved", str(folder), signature_def="serving_default", quantization_dtype_map=quantization
        )
    repair(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="a folder for each model in it")
    parser.add_argument("--only", default=",".join(MODELS), help="names, separated by commas")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--steps", type=int, default=64, help="of a sequence")
    parser.add_argument("--batches", type=int, default=400, help="that a model is trained on")
    parser.add_argument("--samples", type=int, default=64, help="for calibration, and half as many for evaluation")
    parser.add_argument("--half", action="store_true", help="store float16 weights")
    options = parser.parse_args()
    text = options.text.read_text()
    for name in options.only.split(","):
        build, source, form = MODELS[name]
        if source is Commands and not options.audio:
            continue
        library = tf_keras if form == "layers" else keras
        library.utils.set_random_seed(7)
        data = source(options.audio if source is Commands else text, options.steps)
        model = build(options.steps, options.width, data.symbols)
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(library.optimizers.AdamW(2e-3), loss, metrics=["accuracy"])
        random = np.random.default_rng(1)
        batches = (data.draw(random, BATCH) for _ in itertools.count())
        model.fit(batches, steps_per_epoch=options.batches, epochs=1, verbose=0, shuffle=False)
        loss, accuracy = model.evaluate(*data.draw(random, 256), verbose=0)
        print(f"{name}: {model.count_params()} weights, loss {loss:.3f}, accuracy {accuracy:.3f}", flush=True)
        folder = options.output / name
        folder.mkdir(parents=True, exist_ok=True)
        write(model, form, folder, options.half)
        for part, count in [("calibration", options.samples), ("evaluation", options.samples // 2)]:
            np.savez(folder / f"{part}.npz", x=data.draw(random, count)[0])


main()
