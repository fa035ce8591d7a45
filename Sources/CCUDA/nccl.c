// NCCL by its exported names.
#include "nccl_table.h"

#include <dlfcn.h>
#include <string.h>

bool tk_nccl_load(tk_nccl *nccl, void *library) {
    bool complete = true;
    memset(nccl, 0, sizeof *nccl);
#define X(field, symbol, result, parameters)                  \
    {                                                         \
        void *address = dlsym(library, #symbol);              \
        complete = complete && address;                       \
        memcpy(&nccl->field, &address, sizeof address);       \
    }
    TK_NCCL_FUNCTIONS(X)
#undef X
    return complete;
}
