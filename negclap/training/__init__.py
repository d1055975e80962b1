"""Training: data module, module, loss of a batch, callbacks, resuming."""
