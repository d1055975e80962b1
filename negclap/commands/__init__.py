"""The commands of `negclap`, one file each: arguments and printing."""
