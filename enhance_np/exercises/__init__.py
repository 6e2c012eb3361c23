"""Exercises: the backward passes with blanks, hints, and a grader that names what is wrong.

    blanks       the file that a student fills in
    hints        three hints for each function
    checks       what each function is checked for
    network      the filled-in functions train the network
    child        runs one check in a process of its own
    grade        runs them all

The checks compare with `enhance_np.layers`, so there is no second solution to keep.
"""
