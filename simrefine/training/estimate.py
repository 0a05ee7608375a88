"""How long will a training take? Its configuration and its faces in, an answer in words out, from a few real steps."""

from dataclasses import replace

from simrefine import backend
from simrefine.config import Config
from simrefine.data.faces import Faces
from simrefine.errors import UserError
from simrefine.methods import METHODS
from simrefine.methods.method import Inputs
from simrefine.threads import Prefetcher
from simrefine.training.dressing import prepare_dressing
from simrefine.training.frozen import freeze_networks
from simrefine.training.inputs import spread
from simrefine.training.pace import Pace, in_words

TRIED = 5  # steps of a dry run, of which the first compiles and is not measured
FACES = 64  # of each pile at least, that they are tried on


def estimate_training(config: Config, synthetic: Faces, real: Faces, dtype: str) -> str:
    """Does a few steps on a few faces, of the parser and of the method, and says how long the whole training will take
    on this machine. Nothing is written.

    Args:
        config: of the training; its keeper of landmarks, which has a training of its own, is left out.
        synthetic, real: the piles.
        dtype: see `backend.resolve_precision`.
    """
    count = max(FACES, config.training.batch_size)
    synthetic, real = (pile.take(spread(len(pile), count)) for pile in (synthetic, real))
    short = replace(config, parts=replace(config.parts, steps=TRIED), keeper=replace(config.keeper, landmarks=0.0))
    parser, own = Pace(), Pace()
    try:
        dressing = prepare_dressing(short, synthetic, real, dtype, lambda line: None, pace=parser)
    except UserError as error:
        return f"not estimated: {error}"
    inputs = Inputs(synthetic.pile, real.pile, synthetic.points, dressing.dresser)
    frozen = freeze_networks(short, inputs, dressing.parser, dtype, lambda line: None, resumed=False)
    method = METHODS[config.method.name](short, inputs, dtype, frozen)
    steps = range(config.training.all_steps)[-TRIED:]  # the last ones: no pretraining
    batches = Prefetcher(lambda step: backend.to_device(method.batch(step)), steps)
    for step, batch in zip(steps, batches, strict=True):
        for number in method.step(batch, step).values():
            float(number)  # the step has ended when its numbers are there
        own.tick()
    if not own.measured:
        return "not estimated: there are too few steps"
    paces = {"": (own, config.training.all_steps), " of the parser": (parser, config.parts.steps)}
    measured = {whose: (pace, count) for whose, (pace, count) in paces.items() if pace.measured}
    whole = sum(count * pace.seconds_a_step for pace, count in measured.values())
    parts = (
        f"{count} steps{whose} of {pace.seconds_a_step:.2g} s ({pace.measured} measured)"
        for whose, (pace, count) in measured.items()
    )
    return f"{in_words(whole)} on this machine: {' and '.join(parts)}"
