"""The viewer: saved explanations, and live sliders beside the model's answer, in a browser.

Saved explanations are read with NumPy alone, so that they open at once and without a model; only
``live``, ``motion``, ``goals`` and the HTML report of ``exporting`` import torch.
"""
