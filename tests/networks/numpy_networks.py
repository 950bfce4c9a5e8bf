"""The light networks written a second time, in plain numpy from the paper, to compare the torch ones with.

Arrays are (C, Y, X) float64; parameters are looked up by the torch network's names.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - x.max(axis=0))
    return powers / powers.sum(axis=0)


def pool(x):
    """2x2 maximum."""
    channels, height, width = x.shape
    return x.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))


class NumpyNetwork:
    """A light network of the paper by its torch twin's parameters.

    Parameters
    ----------
    config
        The twin's `NetworkConfig`.
    state
        Its state dict as float64 arrays.
    """

    def __init__(self, config, state):
        self.config = config
        self.state = state

    def iterate(self, image, iterations):
        """Logits of each iteration for an image whose sides are multiples of 16."""
        step = getattr(self, self.config.name.replace("-", "_"), None)
        kind, _, level = self.config.name.partition("-")
        if step is None:
            self.level = int(level)
            step = {"dru": self.recurrent_unet, "sru": self.recurrent_unet}[kind]
        shape = image.shape[1:]
        s, h = np.full((self.config.classes, *shape), self.config.initial_segmentation), None
        for _ in range(iterations):
            logits, h = step(image, s, h)
            s = softmax(logits)
            yield logits

    # ---- parts

    def has(self, name):
        return any(key.startswith(name + ".") for key in self.state)

    def convolve(self, x, name):
        """Cross-correlation that keeps the size, sum over input channels and window, plus bias."""
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        margin = weight.shape[-1] // 2
        padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(1, 2))
        return np.einsum("iyxkl,oikl->oyx", windows, weight) + bias[:, None, None]

    def normalise(self, x, name):
        """Group normalisation, or batch normalisation by its running statistics where it has some."""
        if f"{name}.running_mean" in self.state:
            mean, variance = (self.state[f"{name}.running_{what}"][:, None, None] for what in ("mean", "var"))
            normal = (x - mean) / np.sqrt(variance + 1e-5)
        else:
            groups = max(n for n in (8, 4, 2, 1) if len(x) % n == 0)
            grouped = x.reshape(groups, -1)
            deviation = np.sqrt(grouped.var(axis=1, keepdims=True) + 1e-5)
            normal = ((grouped - grouped.mean(axis=1, keepdims=True)) / deviation).reshape(x.shape)
        return normal * self.state[f"{name}.weight"][:, None, None] + self.state[f"{name}.bias"][:, None, None]

    def block(self, x, name, *, relu=True):
        x = self.normalise(self.convolve(x, f"{name}.0"), f"{name}.1")
        return np.maximum(x, 0) if relu else x

    def twice(self, x, name):
        return self.block(self.block(x, f"{name}.0"), f"{name}.1")

    def up(self, x, name):
        """Transposed 2x2 convolution with stride 2: each pixel becomes a square of four."""
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        squares = np.einsum("iyx,iokl->oykxl", x, weight)
        outputs, height, _, width, _ = squares.shape
        return squares.reshape(outputs, 2 * height, 2 * width) + bias[:, None, None]

    def encoder(self, x, name):
        skips = []
        while self.has(f"{name}.blocks.{len(skips)}"):
            skips.append(self.twice(x, f"{name}.blocks.{len(skips)}"))
            x = pool(skips[-1])
        return x, skips

    def decoder(self, x, skips, name):
        for number, skip in enumerate(reversed(skips)):
            x = np.concatenate([skip, self.up(x, f"{name}.blocks.{number}.up")])
            x = self.twice(x, f"{name}.blocks.{number}.conv")
        return x

    def unet_features(self, x, prefix):
        x, skips = self.encoder(x, f"{prefix}encoder")
        return self.decoder(self.twice(x, f"{prefix}bottleneck"), skips, f"{prefix}decoder")

    def unet(self, x, prefix):
        return self.convolve(self.unet_features(x, prefix), f"{prefix}head")

    # ---- networks: image, mask and hidden state in, logits and hidden state out

    def unet_g(self, image, s, h):
        return self.unet(image, "body."), None

    unet_b = unet_g

    def rec_simple(self, image, s, h):
        return self.unet(np.concatenate([image, s]), "unet."), None

    def gru(self, e, h):
        if h is None:
            h = np.full((self.config.hidden_channels, *e.shape[1:]), self.config.initial_hidden)
        z = sigmoid(self.block(np.concatenate([e, h]), "gru.w_z", relu=False))
        r = sigmoid(self.block(np.concatenate([e, h]), "gru.w_r", relu=False))
        candidate = np.tanh(self.block(np.concatenate([e, r * h]), "gru.w_h", relu=False))
        return z * h + (1 - z) * candidate

    def rec_last(self, image, s, h):
        h = self.gru(self.unet_features(image, ""), h)
        return self.convolve(h, "head"), h

    def rec_middle(self, image, s, h):
        x, skips = self.encoder(image, "unet.encoder")
        h = self.gru(self.twice(x, "unet.bottleneck"), h)
        return self.convolve(self.decoder(self.convolve(h, "output"), skips, "unet.decoder"), "unet.head"), h

    def gate(self, e, name):
        """f_z, f_r or f_h: two convolutions at the bottleneck (f_r: one), else a U-Net and a normalisation."""
        if self.level < 4:
            return self.normalise(self.unet(e, f"unit.{name}.0."), f"unit.{name}.1")
        if name == "f_r":
            return self.block(e, "unit.f_r", relu=False)
        return self.block(self.block(e, f"unit.{name}.0"), f"unit.{name}.1", relu=False)

    def recurrent_unet(self, image, s, h):
        e, skips = self.encoder(np.concatenate([image, s]), "encoder")
        if h is None:
            h = np.full((self.config.hidden_channels, *e.shape[1:]), self.config.initial_hidden)
        z = sigmoid(self.gate(e, "f_z"))
        masked = e * sigmoid(self.gate(e, "f_r")) if self.config.name.startswith("dru") else e
        h = z * h + (1 - z) * np.tanh(self.gate(masked, "f_h"))
        out = self.convolve(h, "unit.f_s")
        return (self.convolve(self.decoder(out, skips, "decoder"), "head") if self.level else out), h
