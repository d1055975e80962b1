"""`negclap prepare chorales` and `negclap inspect`."""

import json

from negclap.cli import main


def test_prepare_and_inspect(tmp_path, capsys):
    out = tmp_path / "set"
    arguments = ["prepare", "chorales", "--out", str(out), "--clips", "13", "--chorales", "20"]
    assert main([*arguments, "--jobs", "2"]) == 0
    assert (
        main(["inspect", "text", str(out / "manifest.jsonl"), "--json", str(tmp_path / "i.json")])
        == 0
    )
    report = json.loads((tmp_path / "i.json").read_text())
    assert report["inserted"] == len(report["samples"]) or report["inserted"] > 50
    printed = capsys.readouterr().out
    assert "without" in printed
    assert "validation" in printed
