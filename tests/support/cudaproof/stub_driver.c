/* A libcuda.so.1 that answers as a driver in trouble does, for tests of what is said of it.
 *
 *   gcc -shared -fPIC -o FOLDER/libcuda.so.1 stub_driver.c      then LD_LIBRARY_PATH=FOLDER
 *
 * STUB_VERSION  what cuDriverGetVersion gives, 12090 is CUDA 12.9
 * STUB_INIT     the CUresult of cuInit: 0, or 100 (no device), 803 (two versions), ...
 * STUB_DEVICES  how many devices it claims to have
 *
 * There is no device behind it: NVIDIA's runtime, which CuPy contains, asks for tables that are
 * not documented, and gives cudaErrorNotSupported. What needs no device can be tested, such as
 * whether CuPy finds NVRTC.
 */
#include <stdlib.h>
#include <string.h>

enum { NOT_INITIALIZED = 3, NOT_SUPPORTED = 801 };

static int number(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

int cuDriverGetVersion(int *version)
{
    *version = number("STUB_VERSION");
    return 0;
}

int cuInit(unsigned flags)
{
    (void)flags;
    return number("STUB_INIT");
}

int cuDeviceGetCount(int *count)
{
    *count = number("STUB_DEVICES");
    return number("STUB_INIT") ? NOT_INITIALIZED : 0;
}

int cuGetErrorName(int error, const char **name)
{
    (void)error;
    *name = "STUB";
    return 0;
}

int cuGetErrorString(int error, const char **text)
{
    return cuGetErrorName(error, text);
}

int cuGetExportTable(const void **table, const void *id)
{
    (void)id;
    *table = 0;
    return NOT_SUPPORTED;
}

static int not_supported(void) { return NOT_SUPPORTED; }

/* The runtime takes every function by its name. */
int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags,
                        void *status)
{
    (void)version, (void)flags, (void)status;
    if (!strcmp(name, "cuDriverGetVersion")) *function = (void *)cuDriverGetVersion;
    else if (!strcmp(name, "cuInit")) *function = (void *)cuInit;
    else if (!strcmp(name, "cuDeviceGetCount")) *function = (void *)cuDeviceGetCount;
    else if (!strcmp(name, "cuGetErrorName")) *function = (void *)cuGetErrorName;
    else if (!strcmp(name, "cuGetErrorString")) *function = (void *)cuGetErrorString;
    else if (!strcmp(name, "cuGetExportTable")) *function = (void *)cuGetExportTable;
    else if (!strcmp(name, "cuGetProcAddress")) *function = (void *)cuGetProcAddress_v2;
    else *function = (void *)not_supported;
    return 0;
}

int cuGetProcAddress(const char *name, void **function, int version, unsigned long long flags)
{
    return cuGetProcAddress_v2(name, function, version, flags, 0);
}
