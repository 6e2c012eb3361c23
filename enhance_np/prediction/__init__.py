"""Prediction: of arrays, of whatever holds an image, of files and of archives."""
