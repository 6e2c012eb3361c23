"""Verifies CUDA kernels on a machine without a GPU.

    emulator   runs the source of a kernel on the CPU, and checks every memory access
    nvrtc      compiles it with the compiler that CuPy uses: registers, spills, PTX, machine code
    ptx        runs the PTX that this compiler wrote in the emulator
    instructions  translates inline assembly, for both
    sass       counts machine instructions
    device     stands in for CuPy, so that the launchers run too

Nothing here depends on the project that is tested. The folder is not named `cuda`, because that is
a package of NVIDIA's that CuPy imports.
"""
