"""Proofs about CUDA kernels on a machine without a GPU.

    emulator   runs a kernel's text on the CPU, and checks every access to memory
    nvrtc      compiles it, by the compiler that CuPy uses: registers, spills, PTX, machine code
    ptx        makes the PTX that this compiler wrote run in the emulator
    sass       counts the machine's instructions
    device     stands in for CuPy, so that the launching code runs too

Nothing here knows of the project that is tested. The folder is not named `cuda`, which is a
package of NVIDIA's that CuPy imports.
"""
