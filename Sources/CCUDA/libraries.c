// cuBLASLt and NCCL, where a machine has them.
#define _GNU_SOURCE  // dladdr
#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CCUDA.h"

typedef struct {
    const char *title, *variable, *version_symbol;
    const char *names[6];       // sonames, the newest first
    const char *packages[4];    // folders of Python packages, below site-packages/nvidia
} description;

static const description descriptions[] = {
    {"cuBLASLt", "TAPESTRY_CUBLASLT", "cublasLtGetVersion",
     {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}, {"cu13/lib", "cublas/lib"}},
    {"NCCL", "TAPESTRY_NCCL", "ncclGetVersion", {"libnccl.so.2", "libnccl.so"}, {"nccl/lib"}},
};

/// Opens a library and asks for its version; false, with a reason, if it is none.
static int try_path(const description *d, const char *path, tk_cuda_library_status *status) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *error = dlerror();
        snprintf(status->message, sizeof status->message, "%s does not open: %.180s", d->title, error ? error : path);
        return 0;
    }
    void *symbol = dlsym(handle, d->version_symbol);
    if (!symbol) {
        snprintf(status->message, sizeof status->message, "%.180s is not %s: it has no %s", path, d->title, d->version_symbol);
        dlclose(handle);
        return 0;
    }
    if (d == &descriptions[TK_CUDA_CUBLASLT]) {
        size_t (*version)(void);
        memcpy(&version, &symbol, sizeof version);
        status->version = (int64_t)version();
    } else {
        int (*version)(int *), number = 0;
        memcpy(&version, &symbol, sizeof version);
        if (version(&number) == 0) status->version = number;
    }
    Dl_info info;
    snprintf(status->path, sizeof status->path, "%s", dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : path);
    status->handle = handle;
    status->message[0] = 0;
    return 1;
}

static int try_pattern(const description *d, const char *pattern, tk_cuda_library_status *status) {
    glob_t found;
    int opened = 0;
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc && !opened; i++) opened = try_path(d, found.gl_pathv[i], status);
    globfree(&found);
    return opened;
}

tk_cuda_library_status tk_cuda_find_library(tk_cuda_library library) {
    const description *d = &descriptions[library];
    tk_cuda_library_status status = {0};
    char pattern[1024];
    const char *chosen = getenv(d->variable);
    if (chosen && *chosen) { try_path(d, chosen, &status); return status; }
    for (int i = 0; d->names[i]; i++) if (try_path(d, d->names[i], &status)) return status;

    static const char *const variables[] = {"CUDA_HOME", "CUDA_PATH", "CONDA_PREFIX"};
    static const char *const folders[] = {"/usr/local/cuda/lib64", "/opt/cuda/lib64", "/usr/local/cuda-*/lib64",
                                          "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"};
    for (int i = 0; d->names[i]; i++) {
        for (size_t v = 0; v < sizeof variables / sizeof *variables; v++) {
            const char *home = getenv(variables[v]);
            if (!home || !*home) continue;
            snprintf(pattern, sizeof pattern, "%s/lib*/%s", home, d->names[i]);
            if (try_pattern(d, pattern, &status)) return status;
        }
        for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
            snprintf(pattern, sizeof pattern, "%s/%s", folders[f], d->names[i]);
            if (try_pattern(d, pattern, &status)) return status;
        }
    }
    static const char *const environments[] = {"VIRTUAL_ENV", "CONDA_PREFIX"};
    for (size_t e = 0; e < sizeof environments / sizeof *environments; e++) {
        const char *home = getenv(environments[e]);
        if (!home || !*home) continue;
        for (int p = 0; d->packages[p]; p++) {
            for (int i = 0; d->names[i]; i++) {
                snprintf(pattern, sizeof pattern, "%s/lib/python3*/site-packages/nvidia/%s/%s", home, d->packages[p], d->names[i]);
                if (try_pattern(d, pattern, &status)) return status;
            }
        }
    }
    snprintf(status.message, sizeof status.message, "%s was not found; %s can name its file", d->title, d->variable);
    return status;
}
