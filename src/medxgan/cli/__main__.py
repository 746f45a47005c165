"""``python -m medxgan.cli``, the same as ``medxgan``."""

from medxgan.cli import main

main()
