"""Options: four layers, one check, and messages that name the way out."""

import dataclasses
import os
from functools import partial

import pytest

from simrefine.config import SECTIONS, Config, describe_options, template
from simrefine.errors import UserError


def load(**layers):
    return Config.load(**{"environment": {}} | layers)


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[training]\nsteps = 1\nseed = 1\nbatch_size = 8\n")
    environment = {"SIMREFINE_TRAINING_STEPS": "2", "SIMREFINE_TRAINING_SEED": "2"}
    options = load(file=file, environment=environment, values={"training.steps": "3"}).training
    assert (options.steps, options.seed, options.batch_size, options.ema_decay) == (3, 2, 8, 0.999)


def test_the_saved_file_reads_back_as_the_same_config(tmp_path):
    odd = {"data.synthetic": '/a "b"\\c\nd', "data.exclude": ["*-masks", "x y"], "data.flip": False}
    config = load(values=odd | {"self_regularisation.l1": 0.1})
    (tmp_path / "c.toml").write_text(config.to_toml(), encoding="utf-8")
    assert load(file=tmp_path / "c.toml") == config


@pytest.mark.parametrize("key", [f"{s}.{f.name}" for s, kind in SECTIONS.items() for f in dataclasses.fields(kind)])
def test_every_option_has_a_help_text_and_refuses_a_value_of_another_kind(key):
    section, name = key.split(".")
    field = next(field for field in dataclasses.fields(SECTIONS[section]) if field.name == name)
    assert field.metadata["help"]
    with pytest.raises(UserError, match=key.replace(".", r"\.")):
        load(values={key: {"a": "table"}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainign.steps": 1}, "did you mean training.steps"),
        ({"self_regularization.l1": 1}, "did you mean self_regularisation.l1"),
        ({"l1": 1}, "did you mean self_regularisation.l1"),
        ({"training.steps": "many"}, "not of type int"),
        ({"training.steps": 1.5}, "not of type int"),
        ({"training.steps": -1}, "at least 0"),
        ({"training.ema_decay": float("nan")}, "between 0 and 1"),
        ({"data.channels": 2}, "one of 1, 3"),
        ({"refiner.name": "unett"}, "'resnet', 'unet'"),
        ({"data.size": 65}, "use 64"),
        ({"data.size": 8}, "must be auto, or between 16 and 1024"),
        ({"data.size": "big"}, "not of type int"),
        ({"training.batch_size": 3}, "make it even"),
    ],
)
def test_a_wrong_option_is_named_with_the_way_out(values, message):
    with pytest.raises(UserError, match=message):
        load(values=values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("steps = 3", "outside of any section"),
        ("[training]\nstep = 3", "did you mean training.steps"),
        ("[training", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, message):
    file = tmp_path / "c.toml"
    file.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        load(file=file)
    assert str(file) in str(error.value)


def test_a_wrong_environment_variable_is_named():
    with pytest.raises(UserError, match="SIMREFINE_TRAINING_STEP.*did you mean SIMREFINE_TRAINING_STEPS"):
        load(environment={"SIMREFINE_TRAINING_STEP": "3"})


def test_folders_are_saved_as_absolute_paths_and_an_empty_one_stays_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = load(values={"data.synthetic": "renders"}).data
    assert (options.synthetic, options.real) == (str(tmp_path / "renders"), "")


@pytest.mark.parametrize("side, size", [(4, 16), (16, 16), (43, 40), (45, 48), (100, 96), (128, 128), (1024, 128)])
def test_an_automatic_size_is_the_renders_own_within_the_budget_and_fits_the_networks(side, size):
    config = load(values={"data.size": "auto"})
    assert config == load() and config.data.size == 0, "auto is the default"
    assert config.sized_for(side).data.size == size
    keeper = load(values={"keeper.landmarks": 1}).sized_for(side).data.size
    assert keeper % 16 == 0 and abs(keeper - size) <= 8
    assert load(values={"data.size": size, "keeper.landmarks": 1 - size % 16 // 8}).data.size == size


def test_a_resnet_of_no_stated_width_is_the_papers():
    options = load(values={"refiner.name": "resnet"}).refiner
    assert (options.width, options.blocks) == (64, 4)


def test_the_file_to_begin_with_loads_as_the_defaults_with_and_without_its_comments(tmp_path):
    file, defaults = tmp_path / "begin.toml", Config.load(environment={})
    file.write_text(template())
    assert Config.load(file, environment={}) == defaults
    lines = [line.removeprefix("# ") for line in template().splitlines()[1:]]
    file.write_text("\n".join(lines))
    assert Config.load(file, environment={}) == defaults
    assert sum(" = " in line for line in lines) >= len(defaults.flat())


def test_every_option_is_described_with_its_default_and_what_it_may_be():
    described = {key: rest for key, *rest in describe_options()}
    assert described.keys() == Config.load(environment={}).flat().keys()
    assert described["training.steps"][1].startswith("whole number") and described["data.flip"][:2] == [
        "true",
        "true | false",
    ]
    assert described["data.channels"][1] == "1 | 3" and all(text for rest in described.values() for text in rest)


@pytest.mark.parametrize("key", ["data.synthetic", "data.exclude", "labels.file"])
def test_names_that_no_configuration_file_can_hold_are_refused(key):
    with pytest.raises(UserError, match=f"{key} .*not UTF-8"):
        load(values={key: os.fsdecode(b"faces/\xff")})


def test_a_run_of_an_older_version_is_read_whatever_the_defaults_of_other_methods_were(tmp_path):
    file = tmp_path / "config.toml"
    written = Config.load(environment={}).to_toml()
    older = written.replace("\nidentity_steps = ", "\nidentity_steps = 7").replace("\nsteps = ", "\nsteps = 1")
    file.write_text(older)
    config = Config.load(file, environment={}, recorded=True)
    assert config.training.steps == int(f"1{Config.load(environment={}).training.steps}")
    with pytest.raises(UserError, match="identity_steps = 7.* does nothing where method.name = simgan"):
        Config.load(file, environment={})


def test_a_run_from_before_borders_and_soft_colour_were_options_goes_on_as_it_began(tmp_path):
    (tmp_path / "config.toml").write_text("[refiner]\nname = 'unet'\n")
    read = partial(Config.load, tmp_path / "config.toml", environment={})
    assert read(recorded=True).refiner.borders == "zeros" and read().refiner.borders == "mirrored"
    assert not read(recorded=True).parts.soften and read().parts.soften
