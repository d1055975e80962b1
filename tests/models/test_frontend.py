import librosa
import numpy as np
import pytest
import torch

from negclap.errors import InputError
from negclap.models.audio_encoders import HTSAT_MEL
from negclap.models.frontend import LogMel, MelConfig, SpecAugment

CONFIGS = [MelConfig(), HTSAT_MEL, MelConfig(22_050, 2048, 512, 128, 0.0, 11_025.0)]


@pytest.mark.parametrize("config", CONFIGS)
def test_the_filter_bank_equals_librosas(config):
    ours = LogMel(config, SpecAugment()).mel.mel_scale.fb.T.numpy()
    theirs = librosa.filters.mel(
        sr=config.sample_rate,
        n_fft=config.n_fft,
        n_mels=config.n_mels,
        fmin=config.f_min,
        fmax=config.f_max,
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_spectrogram_equals_librosas(config):
    waveform = np.random.default_rng(0).normal(0, 0.1, config.sample_rate).astype(np.float32)
    ours = LogMel(config, SpecAugment()).eval()(torch.from_numpy(waveform)[None])[0].numpy()
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        n_mels=config.n_mels,
        fmin=config.f_min,
        fmax=config.f_max,
        pad_mode="reflect",
    )
    theirs = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None).T
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-2)


def test_int16_and_float_samples_give_the_same_spectrogram():
    samples = torch.randint(-20_000, 20_000, (2, 16_000), dtype=torch.int16)
    log_mel = LogMel(MelConfig(), SpecAugment()).eval()
    torch.testing.assert_close(log_mel(samples), log_mel(samples.float() / 32_768))


def test_spec_augment_masks_only_in_training():
    torch.manual_seed(0)
    waveform = torch.randn(8, 16_000) * 0.1
    plain = LogMel(MelConfig(), SpecAugment())
    masked = LogMel(MelConfig(), SpecAugment(time_frames=10, mel_bands=16))
    torch.testing.assert_close(masked.eval()(waveform), plain(waveform))
    changed = masked.train()(waveform) != plain(waveform)
    assert changed.any()
    assert not changed.all()
    masked_bands = changed[0].all(dim=0).sum()  # in every frame
    assert masked_bands <= 17


def test_a_band_above_the_nyquist_frequency_is_rejected():
    with pytest.raises(InputError, match=r"8000.0 Hz, expected a range within 0 to 4000.0 Hz"):
        MelConfig(sample_rate=8_000, f_max=8_000.0)
