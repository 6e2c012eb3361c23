"""The figures and numbers of the chapter by Díaz Baso and Asensio Ramos, made again.

The chapter is "Enhancing SDO/HMI images using deep learning" in the book HelioML, by the authors of
the paper (Díaz Baso & Asensio Ramos 2018, A&A 614, A5). `published` has its
numbers, `make` ours beside them.
"""
