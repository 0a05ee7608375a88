"""The page of `simrefine generate studio`: sliders for the axes of a generator with locks, parts to be drawn anew, a
face to drop, before and after, and the recipe of what is seen.

A `Studio` is all that the page does, without the page; `build_page` lays it out with Gradio, and `serve` shows it on
127.0.0.1 alone, and asks nothing of any other machine.
"""

import base64
import os
import re
import shlex
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simrefine.data.images import Picture, encode_picture, fit_square, to_channels
from simrefine.errors import UserError
from simrefine.files import write_file
from simrefine.generating.axes import Axes
from simrefine.generating.generator import Codes, Generator
from simrefine.generating.invert import Inverter
from simrefine.generating.move import moved
from simrefine.generating.moves import Moves
from simrefine.generating.recipes import Recipe
from simrefine.generating.variations import CHANGEABLE, Variations
from simrefine.randomness import generator as random_numbers

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before it is imported, or it asks for a newer version
os.environ.setdefault("HF_HUB_OFFLINE", "1")
try:
    import gradio
except ImportError as error:
    raise UserError("the studio needs gradio", "install it: pip install simrefine[studio]") from error

RECIPES = "recipes"  # within the run
REACH = 2.5  # standard deviations that a slider goes to either side
INVERT_STEPS = 60  # of the codes of a face that is dropped; the generator is not tuned, it is shared
BEFORE, AFTER = "Before", "After"
NAME = re.compile(r"[\w-]{1,80}")
ABOUT = """# {title}
Move a slider: the face on the right is drawn anew. What is **locked** stays while others move. *R2* says how well an
attribute was predicted of people who were not learnt from, *drawn* how much of a move is found again in what is drawn
(a slider makes up for that, up to twice)."""
# Faces are small, and are enlarged where they are shown: that is quicker. They stay in sight beside the sliders.
STYLE = """.faces {position: sticky; top: 1rem; align-self: flex-start}
.face {margin: 0} .face img {width: 100%; max-width: 20rem}"""


class Given(NamedTuple):
    """A face as the studio knows it."""

    before: np.ndarray  # uint8 [size, size, channels]
    codes: Codes
    f: np.ndarray  # [1, identity]
    z: np.ndarray  # [1, attributes]


class Studio:
    """What the page does.

    Args:
        generator, axes: of one run.
        run: where recipes are saved.
    """

    def __init__(self, generator: Generator, axes: Axes, run: Path):
        self.generator, self.axes, self._run = generator, axes, run
        # How a face looks first, then who it is; each the best first.
        order = sorted(np.flatnonzero(axes.usable), key=lambda place: (not axes.within[place], -axes.r2[place]))
        self.shown = [int(place) for place in order]
        if not self.shown:
            raise UserError("the generator has no axis that can be moved", "train it for longer, then find them again")
        self._inverter, self._lock = Inverter(generator), threading.Lock()  # there is one generator for all
        self._variations: dict[tuple[str, ...], Variations] = {}

    @property
    def names(self) -> list[str]:
        """Of the axes, in the order of the sliders."""
        return [self.axes.names[place] for place in self.shown]

    def reach(self, name: str) -> tuple[float, float]:
        """How far a slider goes, and one step of it, in the unit of its axis."""
        if self.axes.unit(name) == "sd":
            return REACH, 0.1
        return float(np.ceil(REACH * self.axes.deviation[self.axes.place(name)])), 1.0

    def drop(self, pixels: np.ndarray) -> Given:
        """A face that is given: pixels uint8 [h, w] or [h, w, c], found in the generator by its codes."""
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]
        face = fit_square(to_channels(pixels, self.generator.channels), self.generator.size)
        with self._lock:
            codes = self._inverter.fit(face[None], INVERT_STEPS, 0)
        return Given(face, codes, *self.generator.encode(face[None]))

    def draw_somebody(self, seed: int) -> Given:
        """Somebody new."""
        rng = random_numbers(seed, 0, "studio")
        f, z = self.generator.new_person(rng)[None], self.generator.new_attributes(1, rng)
        codes = self.generator.codes(f, z)
        return Given(self.generator.draw(codes).pictures[0], codes, f, z)

    def recipe(self, values: Sequence[float], locked: Sequence[bool], parts: Sequence[str], seed: int) -> Recipe:
        """What sliders and locks say; sliders at 0 are left out, and locks of those that are not."""
        asked = list(zip(self.names, values, locked, strict=True))
        steps = tuple(f"{name}={value:+g}" for name, value, _ in asked if value)
        return Recipe(steps, tuple(name for name, value, lock in asked if lock and not value), tuple(parts), int(seed))

    def after(self, given: Given, recipe: Recipe, look: str = "render") -> np.ndarray:
        """The face as the recipe makes it, uint8 [size, size, channels].

        Raises:
            UserError: the locks leave nothing of an axis, or a part cannot be drawn anew.
        """
        codes = given.codes
        if recipe.parts:
            if recipe.parts not in self._variations:
                self._variations[recipe.parts] = Variations(self.generator, recipe.parts)
            rng = random_numbers(recipe.seed, 0, "variation")
            codes = self._variations[recipe.parts].vary(codes, given.f, given.z, rng)
        if recipe.axes:
            offset = Moves.parse(self.axes, recipe.axes, recipe.lock).offsets(self.axes)
            codes = moved(self.generator, codes, given.f, given.z, offset)
        with self._lock:
            return self.generator.draw(codes, look).pictures[0]

    def save(self, recipe: Recipe, name: str, look: str = "render") -> str:
        """Saves a recipe in the run; says what to type to do the same with a folder.

        Raises:
            UserError: the name is none for a file, or nothing is asked.
        """
        if not NAME.fullmatch(name):
            raise UserError(f"{name!r} is no name for a recipe", "letters, digits, - and _ will do")
        if not recipe.axes:
            raise UserError("nothing has been moved", "move a slider first")
        file = self._run / RECIPES / f"{name}.toml"
        write_file(file, recipe.as_toml().encode())
        flags = ["--model", str(self._run), "--recipe", str(file), "--look", look, "--out", "OUT"]
        return shlex.join(["simrefine", "generate", "move", "DIR", *flags])


def build_page(studio: Studio, title: str) -> gradio.Blocks:
    """The page."""
    first = studio.draw_somebody(0)
    with gradio.Blocks(title=title, analytics_enabled=False) as page:
        given = gradio.State(first)
        gradio.Markdown(ABOUT.format(title=title))
        with gradio.Row():
            with gradio.Column(scale=1):
                sources = ["upload", "clipboard"]
                dropped = gradio.Image(label="Drop a face here, or choose one", type="numpy", sources=sources)
                person = gradio.Number(label="Or somebody new, by number", value=0, precision=0, minimum=0)
                look = gradio.Radio(["render", "photograph"], value="render", label="Look")
                parts = gradio.CheckboxGroup(list(_parts_of(studio)), label="Parts to be drawn anew")
                seed = gradio.Number(label="Seed of these parts", value=0, precision=0, minimum=0)
            with gradio.Column(scale=2):
                sliders, locks = _turned(studio)
            with gradio.Column(scale=1, elem_classes="faces"):
                before, after = (gradio.HTML(_shown(first.before, label)) for label in (BEFORE, AFTER))
                said = gradio.Code(label="The recipe of what is seen", language=None, lines=6, interactive=False)
                name = gradio.Textbox(label="Name of the recipe", value="mine", max_lines=1)
                save = gradio.Button("Save as a recipe", variant="primary")
                typed = gradio.Textbox(label="To do the same with a folder, type", interactive=False)
        asked = [*sliders, *locks, parts, seed]

        def see(face: Given, look: str, *values):
            recipe = _recipe_of(studio, values)
            return _shown(_told(studio.after, face, recipe, look), AFTER), recipe.as_toml()

        def take(pixels, number, look: str, *values):
            face = studio.draw_somebody(int(number or 0)) if pixels is None else _told(studio.drop, pixels)
            return face, _shown(face.before, BEFORE), *see(face, look, *values)

        changes = [part.change for part in (*asked, look)]
        # Without the queue, which would ask for the picture a second time: a slider is to be followed at once.
        quick = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last"}
        gradio.on(changes, see, [given, look, *asked], [after, said], **quick)
        faces = [dropped, person, look, *asked]
        gradio.on([dropped.change, person.change], take, faces, [given, before, after, said])
        save.click(partial(_save, studio), [name, look, *asked], typed)
    return page


def _turned(studio: Studio) -> tuple[list[gradio.Slider], list[gradio.Checkbox]]:
    """A slider and a lock an axis: those of how a face looks first."""
    sliders, locks = [], []
    for title, within in (("How a face looks", True), ("Who it is, too", False)):
        places = [place for place in studio.shown if studio.axes.within[place] == within]
        if not places:
            continue
        with gradio.Accordion(title):
            for place in places:
                with gradio.Row():
                    sliders.append(_slider(studio, studio.axes.names[place]))
                    locks.append(gradio.Checkbox(label=f"lock {studio.axes.names[place]}", scale=1, min_width=160))
    reset = gradio.Button("All sliders to 0")
    reset.click(lambda: [0.0] * len(sliders), None, sliders)
    return sliders, locks


def launch(page: gradio.Blocks, port: int | None) -> str:
    """Opens the page on this machine alone, and goes on; returns its address.

    Raises:
        UserError: the port is taken.
    """
    how = {"server_name": "127.0.0.1", "server_port": port, "share": False, "quiet": True, "prevent_thread_lock": True}
    try:
        return page.launch(**how, footer_links=[], css=STYLE)[1]
    except OSError as error:
        raise UserError(f"port {port} is taken", "name another with --port") from error


def serve(
    studio: Studio, title: str, port: int | None, say: Callable[[str], None], wait: Callable[[], Any] | None = None
) -> None:
    """Shows the page until a signal ends it, or `wait` returns; see `launch`."""
    page = build_page(studio, title)
    try:
        say(f"the studio is on {launch(page, port)}; it ends with Ctrl-C")
        (wait or threading.Event().wait)()
    finally:
        page.close()


def _slider(studio: Studio, name: str) -> gradio.Slider:
    place, (reach, step) = studio.axes.place(name), studio.reach(name)
    trust = f"R2 {studio.axes.r2[place]:.2f}, drawn {studio.axes.drawn[place]:.0%}, {studio.axes.unit(name)}"
    return gradio.Slider(-reach, reach, 0.0, step=step, label=name, info=trust, scale=3)


def _shown(picture: np.ndarray, label: str) -> str:
    """A picture, uint8 [h, w, c], within the page itself."""
    encoded = base64.b64encode(encode_picture(Picture(picture), ".png")).decode()
    image = f'<img src="data:image/png;base64,{encoded}" alt="the face {label.lower()} what was asked">'
    return f'<figure class="face"><figcaption>{label}</figcaption>{image}</figure>'


def _parts_of(studio: Studio) -> Sequence[str]:
    return CHANGEABLE if studio.generator.has_parts else CHANGEABLE[-1:]


def _recipe_of(studio: Studio, values: Sequence) -> Recipe:
    *turned, parts, seed = values
    half = len(turned) // 2
    return studio.recipe(turned[:half], turned[half:], parts, seed or 0)


def _save(studio: Studio, name: str, look: str, *values) -> str:
    return _told(studio.save, _recipe_of(studio, values), name, look)


def _told(function: Callable, *given):
    """What a user did wrong is said on the page."""
    try:
        return function(*given)
    except UserError as error:
        raise gradio.Error(str(error), print_exception=False) from error
