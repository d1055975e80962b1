"""Train with PyTorch Lightning: model and data modules, loss, callbacks, resuming.

- `module`: `NegClapModule`, the LightningModule.
- `datamodule`: `NegClapDataModule`, the LightningDataModule.
- `objective`: the combined loss of a batch, over all processes.
- `optimizer`: AdamW's parameter groups and the learning rate schedule.
- `callbacks`: record the environment, warn of failing training, time the data loader.
- `resume`: checkpoints and logs that survive an interruption.
- `sweep`: search hyperparameters on this machine.
"""
