"""SimGAN's training step in plain PyTorch, as somebody who knows it would write it, for against_pytorch.py.

The networks of ../paper.toml, softmax cross-entropy, per-channel L1, history, Adam, a moving average of the refiner.
"""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from simrefine.config import Config
from simrefine.data.images import to_signed, to_uint8
from simrefine.models.history import HistoryBuffer
from simrefine.models.losses import REAL, REFINED


class PyTorch:
    """One of the two contenders of against_pytorch.py."""

    def __init__(self, config: Config):
        self.config = config
        bfloat16 = config.training.precision == "bfloat16"
        self.refiner = build_refiner(config, bfloat16).to(memory_format=torch.channels_last)
        self.discriminator = build_discriminator(config, bfloat16).to(memory_format=torch.channels_last)
        self.refiner_optimizer = build_adam(self.refiner, config.refiner_optimizer)
        self.discriminator_optimizer = build_adam(self.discriminator, config.discriminator_optimizer)
        half, size = config.training.batch_size // 2, config.data.size
        self.history = HistoryBuffer(config.history.half_batches * half, (size, size, config.data.channels))

    def take(self, weights: list[list[np.ndarray]]) -> None:
        """Takes over the weights of Keras: [h, w, in, out] kernels and biases, in the order of the layers."""
        for network, arrays in zip((self.refiner, self.discriminator), weights, strict=True):
            arrays = [array.transpose(3, 2, 0, 1) if array.ndim == 4 else array for array in arrays]
            if [tuple(parameter.shape) for parameter in network.parameters()] != [array.shape for array in arrays]:
                raise ValueError("the two sides have different layers")
            for parameter, array in zip(network.parameters(), arrays, strict=True):
                parameter.data.copy_(torch.from_numpy(array))
        self.average = copy.deepcopy(self.refiner).requires_grad_(False)

    def step(self, faces: tuple[np.ndarray, np.ndarray, np.ndarray], step: int) -> dict[str, float]:
        synthetic, half, real = map(to_tensor, faces)
        rng = np.random.default_rng(step)

        self.discriminator.requires_grad_(False)
        refined = self.refiner(synthetic)
        realism = patch_loss(self.discriminator(refined), REAL)
        regularisation = self.config.self_regularisation.l1 * functional.l1_loss(refined, synthetic)
        self.refiner_optimizer.zero_grad()
        (realism + regularisation).backward()
        self.refiner_optimizer.step()
        self.discriminator.requires_grad_(True)

        decay = min(self.config.training.ema_decay, (step + 1) / (step + 10))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.refiner.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
            refined = self.refiner(half)

        pixels = to_uint8(refined.permute(0, 2, 3, 1).numpy())
        if self.history.count < len(pixels):  # the first step has no past
            self.history.push(pixels, rng)
        past = to_tensor(to_signed(self.history.sample(len(pixels), rng)))
        on_fakes, on_real = self.discriminator(torch.cat([refined, past, real])).split(len(real))
        loss = (patch_loss(on_fakes, REFINED) + patch_loss(on_real, REAL)) / 2
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()
        self.history.push(pixels, rng)
        return {
            "refiner/realism": realism.item(),
            "refiner/self_regularisation": regularisation.item(),
            "discriminator/loss": loss.item(),
        }


class MixedPrecision(nn.Module):
    """Layers in bfloat16 if asked for, then a 1x1 convolution that is always float32."""

    def __init__(self, layers: list[nn.Module], features: int, outputs: int, bfloat16: bool):
        super().__init__()
        self.layers, self.last = nn.Sequential(*layers), nn.Conv2d(features, outputs, 1)
        self.bfloat16 = bfloat16

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bfloat16):
            x = self.layers(x)
        return self.last(x.float())


class ResidualBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(conv3(width, width), nn.ReLU(inplace=True), conv3(width, width))

    def forward(self, x):
        return functional.relu_(x + self.layers(x))


class HalvingConv3(nn.Conv2d):
    """3x3, stride 2, with the "same" padding of TensorFlow: an even side is padded at its end only."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3, stride=2)

    def forward(self, x):
        height, width = x.shape[2:]
        return super().forward(functional.pad(x, (width % 2, 1, height % 2, 1)))


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def build_refiner(config: Config, bfloat16: bool) -> nn.Module:
    channels, width = config.data.channels, config.refiner.width
    blocks = [ResidualBlock(width) for _ in range(config.refiner.blocks)]
    layers = [conv3(channels, width), nn.ReLU(inplace=True), *blocks]
    return nn.Sequential(MixedPrecision(layers, width, channels, bfloat16), nn.Hardtanh())  # clips to [-1, 1]


def build_discriminator(config: Config, bfloat16: bool) -> nn.Module:
    convolutions = HalvingConv3(config.data.channels, 96), HalvingConv3(96, 64), conv3(64, 32), nn.Conv2d(32, 32, 1)
    layers = [layer for convolution in convolutions for layer in (convolution, nn.ReLU(inplace=True))]
    layers.insert(4, nn.MaxPool2d(3, stride=1, padding=1))
    return MixedPrecision(layers, 32, 2, bfloat16)


def build_adam(network: nn.Module, options) -> torch.optim.Adam:
    betas = options.beta_1, 0.999
    return torch.optim.Adam(network.parameters(), options.learning_rate, betas, eps=1e-7, fused=True)  # Keras's epsilon


def patch_loss(logits, label: int):
    """Mean softmax cross-entropy of the patches: logits [n, 2, h, w]."""
    return functional.cross_entropy(logits, torch.full_like(logits[:, 0], label, dtype=torch.long))


def to_tensor(pictures: np.ndarray):
    """[n, h, w, c] to [n, c, h, w] without a copy: numpy's order is PyTorch's channels_last."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)
