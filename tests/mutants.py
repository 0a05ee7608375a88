"""Proves that the tests guard what they are for: plants one defect at a time and shows the test that catches it.

Tools such as mutmut or cosmic-ray plant syntactic mutants (a sign, a constant); these are chosen defects, those that
public ports of SimGAN have and those that would break a promise to the user without an error.

    python tests/mutants.py                 all of them, some minutes
    python tests/mutants.py --sample 5      five, drawn by --seed
    python tests/mutants.py --only NAME     the one of that name

The defects are planted in a copy of the project in a temporary folder, never in the working tree.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
COPIED = ("simrefine", "tests", "experiments", "setup.cfg", "pyproject.toml", "README.md", "docs")
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-x", "-q", "--import-mode=importlib"]
TESTS_FAILED = 1  # pytest's exit code; those above are of tests that could not be collected or run
FAILED = re.compile(r"^FAILED (.+?)(?: - (.*))?$", re.MULTILINE)
BROKEN = re.compile(r"(Name|UnboundLocal|Attribute|Import|ModuleNotFound|Syntax|Indentation)Error\b")
SECONDS = 600  # of one pytest process; a defect may also make a test wait for ever


@dataclass(frozen=True)
class Mutant:
    """A defect.

    Args:
        name: what is wrong, in words.
        file: where, from the root of the project.
        old: the text that is replaced; it stands in the file exactly once.
        new: the defect.
        tests: pytest ids that should catch it, one to three quick ones.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


SIMGAN, SIMGAN_TESTS = "simrefine/methods/simgan.py", "tests/methods/test_simgan.py::"
METHODS_TESTS = "tests/methods/test_methods.py::"
FOLDER_TESTS = "tests/refining/test_folder.py::"
TRAIN_TESTS = "tests/training/test_train.py::"
RESTORED = METHODS_TESTS + "test_a_restored_method_goes_on_as_if_it_had_never_stopped[simgan]"

# The game of the two players, as public ports of SimGAN get it wrong.
PLAYERS = [
    Mutant(
        "the refiner learns from the discriminator's first weights",
        SIMGAN,
        "        self._update_refiner = backend.compile_step(self.update_refiner, variables)\n",
        """
        first = build_discriminator(config.discriminator.name, channels, dtype, seed + 1)

        def judged_by_the_first(*arrays):
            now, self.discriminator = self.discriminator, first
            try:
                return self.update_refiner(*arrays)
            finally:
                self.discriminator = now

        self._update_refiner = backend.compile_step(judged_by_the_first, [*variables, *first.variables])
""",
        (SIMGAN_TESTS + "test_the_refiner_learns_from_the_discriminator_as_it_is_now",),
    ),
    Mutant(
        "the discriminator never moves",
        SIMGAN,
        "numbers = backend.minimise(loss, self.discriminator.trainable_variables, self.discriminator_optimiser)",
        "numbers = loss()[1]",
        (SIMGAN_TESTS + "test_the_discriminators_update_moves_all_of_the_discriminator_and_nothing_else",),
    ),
    Mutant(
        "the refiner is rewarded for being found out",
        SIMGAN,
        "realism = patch_loss(self._realism, logits, says_refined=False)",
        "realism = patch_loss(self._realism, logits, says_refined=True)",
        (SIMGAN_TESTS + "test_the_logged_numbers_are_what_their_names_say",),
    ),
    Mutant(
        "the refiner's loss has no adversarial term",
        SIMGAN,
        "total, numbers = realism + regularisation, self._keep(refined, batch)",
        "total, numbers = 0.0 * realism + regularisation, self._keep(refined, batch)",
        (SIMGAN_TESTS + "test_the_refiner_learns_from_the_discriminator_as_it_is_now",),
    ),
    Mutant(
        "ReLU on the discriminator's logits",
        "simrefine/models/networks.py",
        'return conv(x, 2, kernel, dtype="float32")',
        'return conv(x, 2, kernel, dtype="float32", activation="relu")',
        ("tests/models/test_networks.py::test_logits_are_two_linear_numbers_a_patch",),
    ),
    Mutant(
        "K_g is ignored",
        SIMGAN,
        "for k in range(k_g)]",
        "for k in range(1)]",
        (SIMGAN_TESTS + "test_k_g_and_k_d_are_the_numbers_of_updates_a_step",),
    ),
    Mutant(
        "the learning rates never fall",
        "simrefine/models/optimisers.py",
        "optimiser.learning_rate = share * options.learning_rate",
        "optimiser.learning_rate = options.learning_rate",
        ("tests/models/test_optimisers.py::test_learning_rates_stay_full_at_first_and_fall_to_zero_at_the_end",),
    ),
    Mutant(
        "CycleGAN without the cycle",
        "simrefine/methods/cyclegan.py",
        "total = realism + inverse_realism + options.cycle * cycle",
        "total = realism + inverse_realism",
        ("tests/methods/test_cyclegan.py::test_the_logged_numbers_are_what_their_names_say",),
    ),
    Mutant(
        "a compiled step may use variables it did not name",
        "simrefine/backend/tensorflow.py",
        "    checked = False\n",
        "    checked = True\n",
        ("tests/test_backend.py::test_a_step_that_uses_a_variable_it_did_not_name_is_refused",),
    ),
]

# What stands beside the two players: the history and the average.
MEMORY = [
    Mutant(
        "nothing enters the history",
        SIMGAN,
        "self.history.push(refined, discriminator_batch.places.replaced)",
        "self.history.push(refined[:0], discriminator_batch.places.replaced[:0])",
        (SIMGAN_TESTS + "test_a_whole_step_moves_both_players_and_fills_the_history",),
    ),
    Mutant(
        "current faces stand in for past ones",
        SIMGAN,
        "pictures = ops.concatenate([refined, past, batch.real])",
        "pictures = ops.concatenate([refined, refined[: past.shape[0]], batch.real])",
        (SIMGAN_TESTS + "test_the_logged_numbers_are_what_their_names_say",),
    ),
    Mutant(
        "what colours give is called a help of the refiner",
        "simrefine/evaluation/verdict.py",
        "nearer = middle - after >",
        "nearer = before - after >",
        (
            "tests/evaluation/test_realism.py::"
            "test_what_one_change_of_colours_does_is_never_called_a_help_of_the_refiner",
        ),
    ),
    Mutant(
        "what the discriminator looks through is trained along",
        "simrefine/models/pretrained.py",
        '"trainable": False',
        '"trainable": True',
        ("tests/models/test_networks.py::test_what_the_discriminator_looks_through_never_moves",),
    ),
    Mutant(
        "a room is smeared into a jacket",
        "simrefine/data/scenes.py",
        "carry_on(picture, garment))",
        "carry_on(picture, ~garment & ~person))",
        (
            "tests/data/test_scenes.py::"
            "test_behind_the_photographs_person_its_room_goes_on_and_its_clothes_do_not_run_into_it",
        ),
    ),
    Mutant(
        "photographs in coloured light dress renders",
        "simrefine/data/looks.py",
        "return seen & ~is_tinted(to_lab(bank.means[:, SKIN]))",
        "return seen",
        ("tests/data/test_dressing.py::test_photographs_in_coloured_light_dress_no_one",),
    ),
    Mutant(
        "the parts of a mirrored face are not mirrored",
        "simrefine/data/dressing.py",
        "soft[:, :, ::-1], soft)",
        "soft, soft)",
        ("tests/data/test_dressing.py::test_the_parts_of_a_mirrored_face_are_mirrored",),
    ),
    Mutant(
        "colours are sharp again where a folder is refined",
        "simrefine/data/dressing.py",
        "float(arrays.get(SOFTNESS, [0.0])[0])",
        "0.0",
        ("tests/data/test_dressing.py::test_faces_are_dressed_in_colours_as_soft_as_was_published",),
    ),
    Mutant(
        "hair of a photographed head is behind the face",
        "simrefine/data/heads.py",
        "(1 - hair) * (1 - forehead * room)",
        "(1 - forehead * room)",
        (
            "tests/data/test_heads.py::"
            "test_a_fringe_is_before_the_face_and_a_forehead_ends_where_the_photographed_head_does",
        ),
    ),
    Mutant(
        "a photographed face is seen beside the rendered one",
        "simrefine/data/heads.py",
        "maps = _way_back(there, here, NARROWER * np.clip(wide / narrow, 1 / WIDER, WIDER), images.shape[1])",
        "maps = _way_back(there, here, np.ones(2), images.shape[1])",
        ("tests/data/test_heads.py::test_a_photographed_face_is_made_as_wide_as_the_rendered_one_and_a_little_less",),
    ),
    Mutant(
        "soft colours take the brightness along",
        "simrefine/data/chroma.py",
        "return np.clip(luma + soft, -1, 1)",
        "return np.clip(np.stack([cv2.GaussianBlur(each, (0, 0), deviation) for each in pictures]), -1, 1)",
        ("tests/data/test_chroma.py::test_colour_is_softened_and_luma_is_not",),
    ),
    Mutant(
        "a photograph that is known again gives another's room",
        "simrefine/refining/photographs.py",
        "bank, own = bank_of(published.looks), images[kept]",
        "bank, own = bank_of(published.looks), images",
        (
            "tests/refining/test_photographs.py::"
            "test_a_face_gets_the_room_that_it_gets_when_all_photographs_are_looked_at",
        ),
    ),
    Mutant(
        "a tar whose end is missing is read as far as it goes",
        "simrefine/data/shards.py",
        "for info in whole_members(archive)",
        "for info in archive",
        ("tests/data/test_shards.py::test_a_damaged_tar_is_named_and_never_read_in_part",),
    ),
    Mutant(
        "a mask that was mended does not count",
        "simrefine/refining/places.py",
        "for record in (job.record, job.mask) if record)",
        "for record in (job.record,) if record)",
        ("tests/refining/test_masks.py::test_a_picture_is_refined_again_when_its_mask_is_newer",),
    ),
    Mutant(
        "the refiner may repaint the photograph's room",
        SIMGAN,
        '{"room": far_from_head(parts)} if',
        '{"room": 0 * far_from_head(parts)} if',
        (SIMGAN_TESTS + "test_with_scenes_the_room_is_held_and_the_head_is_free_and_skin_and_lips_are_known",),
    ),
    Mutant(
        "blotches are held outside of the head too",
        "simrefine/models/losses.py",
        "return ops.square(change - _mean_within(head, change, 25 / 64)) * head",
        "return ops.square(change - _mean_within(head, change, 25 / 64))",
        ("tests/models/test_losses.py::test_the_band_holds_within_the_head_only_and_needs_one",),
    ),
    Mutant(
        "the refiner is published, not its average",
        SIMGAN,
        "return publish_refiner(self.config, self.average, self.inputs.dresser, self.frozen.parser)",
        "return publish_refiner(self.config, self.refiner, self.inputs.dresser, self.frozen.parser)",
        (METHODS_TESTS + "test_the_published_network_is_the_average_and_refines_as_the_method_does[simgan]",),
    ),
    Mutant(
        "the average remembers the last step only",
        "simrefine/models/average.py",
        "slow.assign(decay * slow + (1.0 - decay) * fast)",
        "slow.assign(fast)",
        ("tests/models/test_average.py::test_the_average_moves_by_its_decay_and_faster_at_first",),
    ),
    Mutant(
        "all of K_g updates see the same faces",
        SIMGAN,
        "self._for_refiner.batch(step * k_g + k)",
        "self._for_refiner.batch(step)",
        (SIMGAN_TESTS + "test_every_update_gets_faces_of_its_own",),
    ),
    Mutant(
        "the average stands still",
        "simrefine/models/average.py",
        "slow.assign(decay * slow + (1.0 - decay) * fast)",
        "slow.assign(slow)",
        (SIMGAN_TESTS + "test_the_refiners_update_moves_the_refiner_and_its_average_only",),
    ),
]

# What holds the faces, and the labels with them.
LABELS = [
    Mutant(
        "the regularisation is a sum over pixels",
        "simrefine/models/losses.py",
        "weight * ops.mean(penalty)",
        "weight * ops.sum(penalty)",
        ("tests/models/test_losses.py::test_the_terms_have_their_known_values",),
    ),
    Mutant(
        "lambda is ignored",
        "simrefine/models/losses.py",
        "total = total + weight * ops.mean(",
        "total = total + ops.mean(",
        ("tests/models/test_losses.py::test_the_lambdas_weigh_the_sum_and_zero_leaves_a_term_out",),
    ),
    Mutant(
        "the map of the labels is ignored",
        SIMGAN,
        "self_regularisation(lambdas, refined, batch.synthetic, batch.hold,",
        "self_regularisation(lambdas, refined, batch.synthetic, ops.ones_like(batch.hold),",
        (SIMGAN_TESTS + "test_the_map_weighs_the_regularisation_in_training_and_pretraining",),
    ),
    Mutant(
        "a mirrored face keeps the points of the unmirrored one",
        SIMGAN,
        "return np.where(batch.mirrored[:, None, None], mirrored, points)",
        "return points",
        (SIMGAN_TESTS + "test_the_map_of_a_mirrored_picture_is_mirrored",),
    ),
    Mutant(
        "labels are rewritten on their way",
        "simrefine/refining/folder.py",
        "shutil.copyfileobj(source, file)",
        'file.write(source.read().replace(b"\\r\\n", b"\\n"))',
        (FOLDER_TESTS + "test_tree_names_and_labels_are_mirrored",),
    ),
    Mutant(
        "a render newer than its refined face is passed over",
        "simrefine/refining/places.py",
        "file.is_symlink() or file.stat().st_mtime_ns < changed",
        "file.is_symlink() or file.stat().st_mtime_ns < 0 * changed",
        (FOLDER_TESTS + "test_a_render_that_changed_is_refined_again",),
    ),
    Mutant(
        "two refiners mix in one folder",
        "simrefine/refining/places.py",
        "if any(found.get(key) != manifest[key] for key in DECISIVE):",
        "if not found:",
        (FOLDER_TESTS + "test_results_of_two_refiners_or_strengths_are_never_mixed",),
    ),
    Mutant(
        "pictures go into [-1, 0] instead of [-1, 1]",
        "simrefine/data/images.py",
        "/ np.float32(GRAY_LEVELS) - 1",
        "/ np.float32(2 * GRAY_LEVELS) - 1",
        ("tests/data/test_images.py::test_uint8_to_signed_and_back_is_exact",),
    ),
    Mutant(
        "the points of a detected face are half a pixel off",
        "simrefine/data/detection.py",
        "+ 1 - places / (width, height)",
        "+ 0",
        ("tests/data/test_detection.py::test_places_count_from_the_edge_of_the_picture",),
    ),
]

# What a long run relies on: resuming, randomness, files and the choice of the best.
RUNS = [
    Mutant(
        "a resumed run forgets the optimisers' state",
        "simrefine/methods/state.py",
        "    assign(list(variables.values()), [arrays[name] for name in variables], source)\n",
        """    variables = {name: variable for name, variable in variables.items() if "_optimizer/" not in name}
    assign(list(variables.values()), [arrays[name] for name in variables], source)
""",
        (RESTORED,),
    ),
    Mutant(
        "a resumed run forgets the history",
        "simrefine/models/history.py",
        "self.count = len(faces)",
        "self.count = 0",
        (RESTORED,),
    ),
    Mutant(
        "a batch depends on those asked for before it",
        "simrefine/randomness.py",
        "    return np.random.default_rng([seed, step, zlib.crc32(purpose.encode())])\n",
        "    return SHARED\n\n\nSHARED = np.random.default_rng(0)\n",
        ("tests/data/test_batches.py::test_a_batch_depends_on_seed_and_index_and_not_on_what_was_asked_before",),
    ),
    Mutant(
        "a file is written in place",
        "simrefine/files.py",
        'with open(descriptor, "wb", closefd=False) as file:',
        'with open(path, "wb") as file:',
        ("tests/test_files.py::test_a_file_that_is_not_finished_leaves_the_old_file_and_nothing_else",),
    ),
    Mutant(
        "escape sequences in names reach the terminal",
        "simrefine/printable.py",
        "    if text.isprintable():\n",
        "    if True:\n",
        ("tests/test_printable.py::test_an_error_is_one_line",),
    ),
    Mutant(
        "the fingerprint of a refiner is that of its weights",
        "simrefine/training/published.py",
        "json.dumps([weights, *decisive], sort_keys=True)",
        "json.dumps([weights])",
        (
            "tests/training/test_published.py::"
            "test_refiners_that_make_something_else_of_a_picture_have_other_fingerprints",
        ),
    ),
    Mutant(
        "half a JPEG passes for a whole one",
        "simrefine/data/images.py",
        "**size, strict=True)",
        "**size, strict=False)",
        ("tests/data/test_images.py::test_a_jpeg_that_lacks_data_before_its_end_marker_is_refused",),
    ),
    Mutant(
        "the farthest refiner counts as the best",
        "simrefine/training/held_out.py",
        "numbers[SCORE] < best[SCORE]",
        "numbers[SCORE] > best[SCORE]",
        (TRAIN_TESTS + "test_a_refiner_that_moves_the_picture_too_far_is_never_the_best",),
    ),
    Mutant(
        "NaN does not stop a run",
        "simrefine/arrays.py",
        "if not np.isfinite(value).all()]",
        "if np.isinf(value).any()]",
        (TRAIN_TESTS + "test_a_nan_stops_the_run_naming_the_step_and_the_last_good_checkpoint",),
    ),
    Mutant(
        "damage to weights goes unnoticed",
        "simrefine/arrays.py",
        'if hashlib.sha256(content).hexdigest() != about["sha256"]:',
        'if not about["sha256"]:',
        ("tests/training/test_checkpoint.py::test_a_damaged_checkpoint_is_named_and_the_one_before_is_used",),
    ),
    Mutant(
        "the advice on formats is the wrong way round",
        "simrefine/arrays.py",
        '"use a newer simrefine"',
        '"use the older simrefine that wrote it, or train again"',
        ("tests/training/test_published.py::test_a_refiner_that_cannot_be_trusted_is_refused",),
    ),
]

MUTANTS = [*PLAYERS, *MEMORY, *LABELS, *RUNS]


def misfits(root: Path) -> list[str]:
    """A sentence on every mutant whose text or tests are no longer in the project at `root`."""
    found = []
    for mutant in MUTANTS:
        count = (root / mutant.file).read_text(encoding="utf-8").count(mutant.old)
        if count != 1:
            found.append(f"{mutant.name}: its text stands {count} times in {mutant.file}")
        for test in mutant.tests:
            file, _, function = test.partition("::")
            if f"def {function.partition('[')[0]}(" not in (root / file).read_text(encoding="utf-8"):
                found.append(f"{mutant.name}: there is no test {test}")
    return found


def run_tests(copy: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Runs pytest in `copy`: its exit code, and what it printed. A process of its own, so that the code is read anew;
    without bytecode files, which could outlive the defect they were made from."""
    command, environment = [*PYTEST, *tests], os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "1000"}
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return -1, f"not done after {SECONDS} seconds"
    return done.returncode, done.stdout + done.stderr


def catch(copy: Path, mutant: Mutant) -> tuple[str | None, str]:
    """Plants the defect in `copy`, runs its tests and takes it out again.

    Returns:
        The test that failed, or None; and a line for the table.
    """
    file = copy / mutant.file
    sound = file.read_text(encoding="utf-8")
    file.write_text(sound.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        code, output = run_tests(copy, mutant.tests)
    finally:
        file.write_text(sound, encoding="utf-8")
    failed = FAILED.search(output)
    # Code 1 without a failed test is a fixture that broke; a test that met no valid program has judged nothing.
    if code == TESTS_FAILED and failed and not BROKEN.match(failed.group(2) or ""):
        return failed.group(1), f"`{failed.group(1).removeprefix('tests/')}`"
    if code == 0:
        return None, "**nothing**"
    click.echo(output, err=True)
    return None, f"**broken mutant**: pytest ended with {code}"


def choose(sample: int | None, seed: int, only: str | None) -> list[Mutant]:
    """The mutants that the options ask for."""
    if only:
        chosen = [mutant for mutant in MUTANTS if mutant.name == only]
        if not chosen:
            raise click.ClickException(f"no mutant {only!r}, only:\n" + "\n".join(mutant.name for mutant in MUTANTS))
        return chosen
    return MUTANTS if sample is None else random.Random(seed).sample(MUTANTS, min(sample, len(MUTANTS)))


@click.command(help=__doc__.partition("\n")[0])
@click.option("--sample", type=click.IntRange(1), help="Plant only so many, drawn at random.")
@click.option("--seed", default=0, show_default=True, help="Of the draw.")
@click.option("--only", metavar="NAME", help="Plant only the one of this name.")
def main(sample: int | None, seed: int, only: str | None) -> None:
    moved = misfits(ROOT)
    if moved:
        raise click.ClickException("\n".join(["the code has moved on: mend the mutant", *moved]))
    chosen = choose(sample, seed, only)
    with tempfile.TemporaryDirectory(prefix="simrefine-mutants-") as folder:
        copy = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / name, copy / name)
        code, output = run_tests(copy, list(dict.fromkeys(test for mutant in chosen for test in mutant.tests)))
        if code:  # a test that fails anyway would seem to catch whatever is planted
            raise click.ClickException(f"{output}\nthe tests must pass before a defect is planted")
        click.echo("| defect | where | caught by |\n|---|---|---|")
        caught = 0
        for mutant in chosen:
            test, shown = catch(copy, mutant)
            caught += test is not None
            click.echo(f"| {mutant.name} | {mutant.file.removeprefix('simrefine/')} | {shown} |")
    click.echo(f"\n{caught} of {len(chosen)} caught")
    sys.exit(caught < len(chosen))


if __name__ == "__main__":
    main()
