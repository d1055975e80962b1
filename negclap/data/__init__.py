"""Data: from a data set on disk to batches.

- `sources`: one reader per data set format, and the built-in data set
- `entries`: the interface between sources and `prepare`
- `tables`: reads rows of CSV, TSV, JSON Lines and Parquet with their places
- `prepare`: turns a source into a manifest; finds and probes the audio, maps the tags
- `shards`: packs a manifest into tar shards
- `manifest`: the format, and validation of records
- `tracks`: opens a manifest of any size, memory-mapped
- `dataset`: the clips of a split
- `training_texts`: the texts of a training clip
- `batch`: clips, batches and collation
- `loading`: the sampling plan and the data loader
"""
