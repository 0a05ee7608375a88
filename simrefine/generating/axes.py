"""Directions of a generator's latents along which an attribute changes, learnt from labelled faces in seconds.

TL-GAN (Guan 2018) regresses latents on attributes and moves along the weights. The latents w = (f, z) are not white, so
here the move is the covariance times the weights (Haufe et al. 2014, arXiv 1307.6890), and what is locked is projected
away in the whitened space: of all moves that change the attribute by what is asked, and the locked ones by nothing, the
likeliest one, d = S B (B' S B)^-1 t, with S the covariance, B the weights and t the changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simrefine.arrays import read_arrays, write_arrays
from simrefine.data.attributes import Attributes
from simrefine.errors import UserError
from simrefine.generating.generator import Faces, Generator

FORMAT = 1
FOLDER = "axes"  # within the run
NAMES = {"about_name": "axes", "arrays_name": "numbers"}
MAX_BYTES = 2**28
LEAST_R2 = 0.15  # of faces of other people, below which an attribute has no axis
LEAST_DRAWN = 0.2  # share of a change that the generator draws, below which it has none either
STRETCH = 2.0  # up to which a step is longer to make up for what is not drawn: latents farther out are of no face
OWN = 0.5  # share of an attribute's variance within a person, above which it is moved without who is shown
FOLDS = 5
ASKED = 48  # faces by which it is found what is drawn
DEGREES = ("yaw", "pitch", "roll")
LOCKS_LEAVE = 0.15  # share of an axis, in whitened space, that locks must leave


@dataclass(frozen=True)
class Axes:
    """Linear models of k attributes in the latents, d = identity + attributes numbers, and how far each can be trusted.

    Args:
        names: of the attributes, see `data.attributes.Attributes`.
        classes: bool [k], whether it is a class; then its number is a log-odds.
        weights, offsets: [k, d] and [k]: attribute = weights w + offset.
        deviation: [k], of the attribute's number over the faces it was learnt from: one step.
        r2: [k], share of the variance that is predicted of people who were not learnt from; of classes the AUC, taken
            to the same range as 2 AUC - 1.
        error: [k], the root of the mean squared error of those.
        within: bool [k], whether it changes within a person more than from person to person, and is moved in z alone.
        drawn: [k], the share of a move that the generator draws, by the same models.
        covariance: [d, d] of the latents.
        identity: numbers of f, the first of w.
        points: [p, 2, d + 1], a linear model of the label points in px; p = 0 where there were none.
        points_error: of people who were not learnt from, the mean of `measures.landmarks.nme`; NaN without points.
        faces, people: that they were learnt from.
        generator: fingerprint of the generator that they belong to.
    """

    names: tuple[str, ...]
    classes: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    deviation: np.ndarray
    r2: np.ndarray
    error: np.ndarray
    within: np.ndarray
    drawn: np.ndarray
    covariance: np.ndarray
    identity: int
    points: np.ndarray
    points_error: float
    faces: int
    people: int
    generator: str

    @property
    def usable(self) -> np.ndarray:
        """bool [k]: what is predicted and drawn."""
        return (self.r2 >= LEAST_R2) & (self.drawn >= LEAST_DRAWN)

    def unit(self, name: str) -> str:
        """What a step of this attribute is counted in, where nothing else is said."""
        return "degrees" if name in DEGREES else "sd"

    def place(self, name: str) -> int:
        """Where an axis is; a part of a name will do, where it is in the name of one axis alone.

        Raises:
            UserError: there is no such axis, or why it has none.
        """
        if name in self.names:
            place = self.names.index(name)
            if not self.usable[place]:
                raise UserError(f"{name} has no axis: {self.why_not(place)}", "see simrefine generate axes")
            return place
        known = [self.names[place] for place in np.flatnonzero(self.usable)]
        found = [other for other in known if name.lower() in other.lower()]
        if len(found) == 1:
            return self.names.index(found[0])
        several = f"{name!r} could be {', '.join(found)}" if found else f"there is no axis {name!r}"
        raise UserError(several, f"its axes are {', '.join(known) or 'none'}")

    def why_not(self, place: int) -> str:
        """In words, of an attribute that is not usable."""
        if self.r2[place] < LEAST_R2:
            what = "2 AUC - 1" if self.classes[place] else "R2"
            return f"the latents do not say it of other people ({what} {self.r2[place]:.2f}, at least {LEAST_R2})"
        return f"the generator does not draw it ({self.drawn[place]:.0%} of a move)"

    def predict(self, latents: np.ndarray) -> np.ndarray:
        """The attributes' numbers [n, k] of latents [n, d]."""
        return latents @ self.weights.T + self.offsets

    def predict_points(self, latents: np.ndarray) -> np.ndarray:
        """Label points [n, p, 2] of latents [n, d], in px of the generator's pictures."""
        return np.einsum("pcd,nd->npc", self.points, np.pad(latents, ((0, 0), (0, 1)), constant_values=1.0))

    def direction(self, place: int, locked: Sequence[int] = ()) -> np.ndarray:
        """What is added to w, [d], to change the attribute at `place` by one standard deviation, as drawn, or as far as
        STRETCH goes, and those at `locked` by nothing.

        Raises:
            UserError: the locks leave nothing of it.
        """
        held = [other for other in dict.fromkeys(locked) if other != place]
        spread = self._spread_of_z() if self.within[place] else self.covariance
        models = self.weights[[place, *held]] / self.deviation[[place, *held], None]
        inner = models @ spread @ models.T
        if held and _left(inner) < LOCKS_LEAVE:
            raise UserError(
                f"the locks leave nothing of {self.names[place]}: {', '.join(self.names[other] for other in held)} "
                "say the same of a face",
                "lock fewer",
            )
        changes = np.eye(len(models))[0] * min(STRETCH, 1.0 / max(self.drawn[place], 1e-6))
        return spread @ models.T @ _inverse(inner) @ changes

    def _spread_of_z(self) -> np.ndarray:
        """The covariance of z where f is known, in a matrix for w."""
        f, z = slice(0, self.identity), slice(self.identity, None)
        spread = np.zeros_like(self.covariance)
        between = self.covariance[z, f] @ _inverse(self.covariance[f, f])
        spread[z, z] = self.covariance[z, z] - between @ self.covariance[f, z]
        return spread


def _left(inner: np.ndarray) -> float:
    """How much of the first model is not among the others, given their products where latents are white: the sine of
    its angle to them."""
    taken = inner[0, 1:] @ _inverse(inner[1:, 1:]) @ inner[1:, 0]
    return float(np.sqrt(max(0.0, 1.0 - taken / max(inner[0, 0], 1e-12))))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.pinv(matrix, rcond=1e-10, hermitian=True)


def learn_axes(
    generator: Generator,
    faces: np.ndarray,
    attributes: Attributes,
    people: Sequence,
    points: np.ndarray | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Axes:
    """Regresses attributes on the latents of labelled faces, and asks the generator which of them it draws.

    Args:
        faces: uint8 [n, size, size, channels].
        people: [n], who each shows; people are left out together when models are tried.
        points: [n, p, 2] px; NaN where unknown.

    Raises:
        UserError: too few people, or scikit-learn is not installed.
    """
    from simrefine.generating.regression import fit_class, fit_number, fit_points, folds_of, share_within

    folds = folds_of(people, FOLDS)
    say(f"encoding {len(faces)} faces")
    latents = found_in(generator, faces).astype(np.float64)
    say(f"learning {len(attributes.names)} attributes, of {len(set(people))} people")
    models = [
        (fit_class if is_class else fit_number)(latents, values, folds)
        for values, is_class in zip(attributes.values.T, attributes.classes, strict=True)
    ]
    kept = [place for place, model in enumerate(models) if model is not None]
    if not kept:
        raise UserError("no attribute is known of enough faces", "label more faces")
    models = [models[place] for place in kept]
    points_model, points_error = fit_points(latents, points, folds, generator.size)
    axes = Axes(
        names=tuple(attributes.names[place] for place in kept),
        classes=attributes.classes[kept],
        weights=np.stack([model.weights for model in models]),
        offsets=np.array([model.offset for model in models]),
        deviation=np.array([model.deviation for model in models]),
        r2=np.array([model.r2 for model in models]),
        error=np.array([model.error for model in models]),
        within=np.array([share_within(attributes.values[:, place], people) > OWN for place in kept]),
        drawn=np.ones(len(kept)),
        covariance=np.cov(latents.T),
        identity=latents.shape[1] - generator.attributes,
        points=points_model,
        points_error=points_error,
        faces=len(faces),
        people=len(set(people)),
        generator=generator.fingerprint,
    )
    say("asking the generator which of them it draws")
    chosen = latents[np.linspace(0, len(latents) - 1, min(ASKED, len(latents))).astype(int)]
    return replace(axes, drawn=_drawn(generator, axes, chosen))


def _drawn(generator: Generator, axes: Axes, latents: np.ndarray) -> np.ndarray:
    """[k]: the change of each attribute that is found again in faces drawn one standard deviation up and down, as a
    share of what was asked; 0 of those that are not predicted."""
    shares = np.zeros(len(axes.names))
    for place in np.flatnonzero(axes.r2 >= LEAST_R2):
        step = axes.direction(place)
        up, down = (found_in(generator, draw_at(generator, latents + turn * step).pictures) for turn in (1, -1))
        change = (axes.predict(up) - axes.predict(down))[:, place].mean() / 2
        shares[place] = np.clip(change / axes.deviation[place], 0.0, 1.0)
    return shares


def draw_at(generator: Generator, latents: np.ndarray) -> Faces:
    """Faces of latents [n, d], f brought back to unit length."""
    return generator(*split(generator, latents))


def split(generator: Generator, latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f of unit length and z, of latents [n, d]."""
    f, z = latents[:, : -generator.attributes], latents[:, -generator.attributes :]
    return f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-6), z


def found_in(generator: Generator, pictures: np.ndarray) -> np.ndarray:
    """The latents [n, d] that the encoders see in uint8 faces [n, size, size, channels]."""
    return np.concatenate(generator.encode(pictures), axis=1)


def write_axes(run: Path, axes: Axes) -> Path:
    """Writes RUN/axes, complete or not at all."""
    arrays = {name: value for name, value in vars(axes).items() if isinstance(value, np.ndarray)}
    arrays |= {name: arrays[name].astype(np.uint8) for name in ("classes", "within")}
    about = {name: value for name, value in vars(axes).items() if name not in arrays}
    about["points_error"] = None if np.isnan(axes.points_error) else axes.points_error
    write_arrays(run / FOLDER, {"format": FORMAT} | about, arrays, **NAMES)
    return run / FOLDER


def read_axes(run: Path, generator: Generator) -> Axes:
    """The axes of a run.

    Raises:
        UserError: there are none, they are damaged, or of another generator.
    """
    folder = run / FOLDER
    if not folder.is_dir():
        raise UserError(f"{run} has no axes yet", f"learn them: simrefine generate axes --model {run} --synthetic DIR")
    about, arrays = read_arrays(folder, **NAMES, formats=range(FORMAT, FORMAT + 1), limit=MAX_BYTES)
    try:
        about = {name: about[name] for name in ("names", "identity", "points_error", "faces", "people", "generator")}
        error = about.pop("points_error")
        arrays |= {name: arrays[name].astype(bool) for name in ("classes", "within")}
        axes = Axes(
            **about | arrays | {"names": tuple(about["names"])}, points_error=np.nan if error is None else error
        )
        k, d = len(axes.names), len(axes.covariance)
        if axes.weights.shape != (k, d) or axes.covariance.shape != (d, d) or d - axes.identity != generator.attributes:
            raise ValueError("its numbers do not belong together")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder} is damaged: {error}", "learn the axes again, see simrefine generate axes") from error
    if axes.generator != generator.fingerprint:
        raise UserError(
            f"{folder} is of another generator than the one in {run}, which was trained on since",
            "learn the axes again, see simrefine generate axes",
        )
    return axes
