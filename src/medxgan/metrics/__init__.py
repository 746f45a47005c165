"""Figures that judge explanations: pure functions on tensors, one value per image.

``bootstrap.summary`` turns the values of many images into a mean with its interval.
"""
