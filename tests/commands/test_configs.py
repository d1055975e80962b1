"""Options overrule files, and a part with another class keeps nothing of the class before."""

import pytest
import yaml

from negclap.cli import main
from negclap.commands.configs import arrange

BASE = """
trainer: {max_epochs: 9, check_val_every_n_epoch: 1}
model:
  audio_encoder:
    class_path: negclap.models.audio_encoders.ConvEncoder
    init_args: {mel: {sample_rate: 22050}, augment: {time_frames: 5}}
  text_encoder:
    class_path: negclap.models.text_encoders.TextEncoder
    init_args: {scratch: [16, 1]}
data: {manifest: 'x.jsonl'}
"""
HTSAT = "negclap.models.audio_encoders.HtsatEncoder"


@pytest.fixture
def base(tmp_path):
    (tmp_path / "base.yaml").write_text(BASE)
    return str(tmp_path / "base.yaml")


def resolved(arguments, capsys):
    with pytest.raises(SystemExit):
        main(["fit", *arguments, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def test_files_come_before_options():
    assert arrange(["fit", "--a", "1", "-c", "x.yaml", "--b=2", "--config=y.yaml", "-c"]) == [
        "fit", "--config=x.yaml", "--config=y.yaml", "--a", "1", "--b=2", "-c",
    ]  # fmt: skip
    assert arrange(["--a", "1", "-c=x.yaml"]) == ["--config=x.yaml", "--a", "1"]


def test_options_overrule_files_wherever_they_stand(base, capsys):
    for arguments in (
        ["--trainer.max_epochs", "1", "-c", base],
        ["-c", base, "--trainer.max_epochs=1"],
    ):
        assert resolved(arguments, capsys)["trainer"]["max_epochs"] == 1


@pytest.mark.parametrize("form", ["file", "name in a file", "option", "class_path"])
def test_another_class_keeps_nothing_of_the_one_before(base, form, tmp_path, capsys):
    overlay = tmp_path / "overlay.yaml"
    value = f"{{class_path: {HTSAT}}}" if form == "file" else HTSAT
    overlay.write_text(f"model: {{audio_encoder: {value}}}")
    more = {
        "option": ["--model.audio_encoder", HTSAT],
        "class_path": [f"--model.audio_encoder.class_path={HTSAT}"],
    }.get(form, ["-c", str(overlay)])
    encoder = resolved(["-c", base, *more], capsys)["model"]["audio_encoder"]
    assert encoder["class_path"] == HTSAT
    assert encoder["init_args"]["mel"]["sample_rate"] == 48_000
    assert encoder["init_args"]["augment"]["time_frames"] == 0


@pytest.mark.parametrize("name", ["ConvEncoder", "negclap.models.audio_encoders.ConvEncoder"])
def test_the_same_class_keeps_its_arguments(base, name, tmp_path, capsys):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(
        f"model: {{audio_encoder: {{class_path: {name}, init_args: {{dropout: 0.25}}}}}}\n"
        "data: {manifest: y.jsonl}\n"
    )
    config = resolved(["-c", base, "-c", str(overlay)], capsys)
    arguments = config["model"]["audio_encoder"]["init_args"]
    assert arguments["mel"]["sample_rate"] == 22_050
    assert arguments["dropout"] == 0.25
    assert config["data"]["manifest"] == "y.jsonl"


def test_files_are_passed_on_as_they_are_unless_a_class_changes(base, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("data: {manifest: y.jsonl}\nmodel: {method: other}")
    files = [f"--config={base}", f"--config={overlay}"]
    assert arrange(["-c", base, "-c", str(overlay)]) == files
    assert arrange(["-c", "/nowhere.yaml", "-c", base])[0] == "--config=/nowhere.yaml"


def test_interpolations_stay_when_a_class_is_left_out(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(BASE.replace("x.jsonl", "m${..trainer.max_epochs}.jsonl"))
    arguments = ["-c", str(tmp_path / "a.yaml"), "--model.audio_encoder", HTSAT]
    assert resolved(arguments, capsys)["data"]["manifest"] == "m9.jsonl"


def test_a_key_that_is_not_found_is_one_line(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(BASE.replace("x.jsonl", "m${trainer.max_epochs}.jsonl"))
    assert main(["fit", "-c", str(tmp_path / "a.yaml")]) == 2
    message = capsys.readouterr().err
    assert "data.manifest: Interpolation key 'trainer.max_epochs' not found; keys are" in message
