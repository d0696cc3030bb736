"""Function calling for a model that only has text (docs/tools.md): taught, read back and checked, without any I/O."""
