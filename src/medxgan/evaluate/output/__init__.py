"""What an evaluation leaves behind: files in a folder, and tables in the terminal."""

from medxgan.evaluate.output.terminal import print_evaluation
from medxgan.evaluate.output.writing import caution_of, write_evaluation

__all__ = ["caution_of", "print_evaluation", "write_evaluation"]
