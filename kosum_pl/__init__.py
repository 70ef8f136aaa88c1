"""kosum_pl: train, choose, evaluate and serve Korean dialogue summarizers on PyTorch Lightning.

Importing the package alone is cheap: nothing heavy is loaded until a room is imported.
"""

__version__ = "0.1.0"
