"""What an evaluation leaves behind: files in a folder, and tables in the terminal."""

from medxgan.evaluate.output.terminal import print_evaluation
from medxgan.evaluate.output.writing import write_evaluation

__all__ = ["print_evaluation", "write_evaluation"]
