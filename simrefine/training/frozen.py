"""Networks that are loaded or trained before the first step and never move after it."""

from collections.abc import Callable

import keras

from simrefine.config import Config
from simrefine.data.images import to_signed, to_uint8
from simrefine.errors import UserError
from simrefine.methods.method import Frozen, Inputs
from simrefine.models.landmarks import build_landmark_network
from simrefine.models.losses import build_feature_extractor
from simrefine.training.inputs import spread
from simrefine.training.landmarks import LabelledSet, fit_landmark_network

MAX_FACES = 4096  # that the landmark keeper learns from, spread over the pile


def freeze_networks(
    config: Config,
    inputs: Inputs,
    parser: keras.Model | None,
    dtype: str,
    say: Callable[[str], None],
    *,
    resumed: bool,
) -> Frozen:
    """Those that the configuration asks for.

    Args:
        parser: was trained with the dressing.
        resumed: the checkpoint holds the weights of what is trained here, so it is only built.

    Raises:
        UserError: the weights of the feature extractor cannot be read.
    """
    extractor = landmarks = None
    if config.self_regularisation.features:
        extractor = _load_extractor(config)
    if config.keeper.landmarks:
        landmarks = _train_landmarks(config, inputs, dtype, say, resumed)
    return Frozen(extractor, landmarks, parser)


def _load_extractor(config: Config) -> keras.Model:
    options = config.features
    try:
        return build_feature_extractor(options.application, options.layer, options.weights, config.data.channels)
    except Exception as error:  # Keras raises many kinds here: no network, no file, no such layer, a damaged file
        raise UserError(
            f"cannot load {options.application} with weights {options.weights!r} for self_regularisation.features: "
            f"{error}",
            "set features.weights to a local weights file, or self_regularisation.features = 0",
        ) from error


def _train_landmarks(
    config: Config, inputs: Inputs, dtype: str, say: Callable[[str], None], resumed: bool
) -> keras.Model:
    """The network of the landmark keeper, trained on renders in the photographs' colours."""
    options, seed = config.keeper, config.training.seed
    if resumed:
        return build_landmark_network(inputs.points.shape[1], config.data.channels, dtype, seed)
    chosen = spread(len(inputs.synthetic), MAX_FACES)
    dressed = inputs.dresser.dress_alone(to_signed(inputs.synthetic[chosen]), seed)
    labelled = LabelledSet(to_uint8(dressed.pictures), inputs.points[chosen])
    say(f"training the landmark keeper: {options.landmark_steps} steps on {len(chosen)} renders")
    return fit_landmark_network(labelled, seed, options.landmark_steps, precision=config.training.precision)
