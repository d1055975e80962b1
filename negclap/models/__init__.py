"""The dual encoder: log-mel front end, audio encoders, text encoders, and their joint space."""
