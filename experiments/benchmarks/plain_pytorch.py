"""SimGAN's training step in plain PyTorch, as somebody who knows it would write it, for against_pytorch.py.

The networks of ../paper.toml, softmax cross-entropy, per-channel L1, history, Adam, a moving average of the refiner.
"""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from simrefine.config import Config
from simrefine.data.images import GRAY_LEVELS, to_signed
from simrefine.models.history import draw_places
from simrefine.models.losses import REAL, REFINED


class PyTorch:
    """One of the contenders of against_pytorch.py and backends.py.

    Args:
        fast: on the GPU, where there is one, with torch.compile.
    """

    def __init__(self, config: Config, fast: bool = False):
        self.config = config
        self.device = "cuda" if fast and torch.cuda.is_available() else "cpu"
        self.device_name = torch.cuda.get_device_name() if self.device == "cuda" else "CPU"
        torch.set_float32_matmul_precision("high")  # TF32, as simrefine has it
        bfloat16 = config.training.precision == "bfloat16" or (
            config.training.precision == "auto" and self.device == "cuda" and torch.cuda.is_bf16_supported()
        )
        layout = {"memory_format": torch.channels_last, "device": self.device}
        self.refiner = build_refiner(config, bfloat16).to(**layout)
        self.discriminator = build_discriminator(config, bfloat16).to(**layout)
        self.average = copy.deepcopy(self.refiner).requires_grad_(False)
        if fast:
            self.refiner.compile()
            self.discriminator.compile()
        self.refiner_optimizer = build_adam(self.refiner, config.refiner_optimizer)
        self.discriminator_optimizer = build_adam(self.discriminator, config.discriminator_optimizer)
        half, size = config.training.batch_size // 2, config.data.size
        capacity = config.history.half_batches * half
        shape = (capacity, config.data.channels, size, size)
        self.history = torch.zeros(shape, dtype=torch.uint8, device=self.device)

    def take(self, weights: list[list[np.ndarray]]) -> None:
        """Takes over the weights of Keras: [h, w, in, out] kernels and biases, in the order of the layers."""
        for network, arrays in zip((self.refiner, self.discriminator), weights, strict=True):
            arrays = [array.transpose(3, 2, 0, 1) if array.ndim == 4 else array for array in arrays]
            if [tuple(parameter.shape) for parameter in network.parameters()] != [array.shape for array in arrays]:
                raise ValueError("the two sides have different layers")
            for parameter, array in zip(network.parameters(), arrays, strict=True):
                parameter.data.copy_(torch.from_numpy(array))
        self.average = copy.deepcopy(self.refiner).requires_grad_(False)

    def step(self, faces: tuple[np.ndarray, np.ndarray, np.ndarray], step: int) -> dict[str, torch.Tensor]:
        synthetic, half, real = (to_tensor(pictures).to(self.device) for pictures in faces)
        places = draw_places(step, len(half), len(self.history), np.random.default_rng(step))
        past, replaced = (torch.from_numpy(each).long().to(self.device) for each in places)

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

        pixels = ((refined + 1) * GRAY_LEVELS).round().clamp(0, 255).to(torch.uint8)
        if not step:  # the first step has no past
            self.history[: len(pixels)] = pixels
        past = self.history[past].float() / GRAY_LEVELS - 1
        on_fakes, on_real = self.discriminator(torch.cat([refined, past, real])).split(len(real))
        loss = (patch_loss(on_fakes, REFINED) + patch_loss(on_real, REAL)) / 2
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()
        self.history[replaced] = pixels
        return {
            "refiner/realism": realism.detach(),
            "refiner/self_regularisation": regularisation.detach(),
            "discriminator/loss": loss.detach(),
        }

    def faces(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Random pictures: a synthetic batch, half of one, a real batch; [n, h, w, c]."""
        n, size, channels = self.config.training.batch_size, self.config.data.size, self.config.data.channels
        pixels = np.random.default_rng(step).integers(0, 256, (2 * n + n // 2, size, size, channels), np.uint8)
        return tuple(np.split(to_signed(pixels), [n, n + n // 2]))


class MixedPrecision(nn.Module):
    """Layers in bfloat16 if asked for, then a 1x1 convolution that is always float32."""

    def __init__(self, layers: list[nn.Module], features: int, outputs: int, bfloat16: bool):
        super().__init__()
        self.layers, self.last = nn.Sequential(*layers), nn.Conv2d(features, outputs, 1)
        self.bfloat16 = bfloat16

    def forward(self, x):
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
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
