// shim.h -- enough of CUDA for g++ to run a kernel without shared memory, thread after thread
#define __global__
#define __device__

struct Index {
    unsigned x;
};
static Index blockIdx, blockDim, threadIdx;

// The threads first, first + 1, ... last - 1 of a launch with `threads` per block
template <class... Parameters, class... Arguments>
void run(unsigned first, unsigned last, unsigned threads, void (*kernel)(Parameters...),
         Arguments... arguments)
{
    blockDim.x = threads;
    for (unsigned i = first; i < last; i++) {
        blockIdx.x = i / threads;
        threadIdx.x = i % threads;
        kernel(arguments...);
    }
}
