"""Models: two encoders, their joint space, and every way to load and save them.

- `clap`: `NegClap`, the audio encoder and the text encoder with their projections
- `audio_encoders`: convolutional encoder and HTS-AT; waveforms to vectors
- `frontend`: log-mel spectrogram and SpecAugment
- `text_encoders`: pretrained or convolutional text encoder; texts to vectors
- `bert`, `tokenizer`: MiniLM and its tokens without `transformers`, which takes seconds to import
- `musicnn`, `frozen_layers`, `text_tower`: pretrained taggers; frozen layers; a text encoder alone
- `lora`: low-rank adapters
- `encoder`: `Encoder`, the interface of every loaded model: `encode_audio` and `encode_text`
- `pretrained`: load any model: run, export, ClapModel, LAION-CLAP, custom class
- `mteb_model`: a model in mteb's benchmarks
- `description`: a model's configuration without its weights
- `checkpoint`: read a run folder
- `exported`: write and read the folder format of ``negclap export``
- `clap_model`: convert from and to a `transformers` ClapModel
- `export`, `onnx_export`, `programs`: ``negclap export``: all formats, and upload
- `small`, `taught`: the built-in model's form; taught models
- `card`: the model card of an export
"""
