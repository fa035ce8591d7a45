// Finding and starting the driver.
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "CCUDA.h"

enum { NEEDED_CUDA = 12000, NEEDED_CAPABILITY = 75 };

tk_cuda_status tk_cuda_load(tk_cuda_driver *driver, const char *library) {
    tk_cuda_status status = {0};
    memset(driver, 0, sizeof *driver);
    const char *name = library ? library : "libcuda.so.1";
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        status.reason = TK_CUDA_NO_DRIVER;
        snprintf(status.message, sizeof status.message, "no driver: %s was not found on this machine", name);
        return status;
    }
    const char *missing = NULL;
#define X(field, symbol, needed, parameters)                     \
    {                                                            \
        void *address = dlsym(handle, #symbol);                  \
        if (!address && needed && !missing) missing = #symbol;   \
        memcpy(&driver->field, &address, sizeof address);        \
    }
    TK_CUDA_FUNCTIONS(X)
#undef X
    if (missing) {
        status.reason = TK_CUDA_DRIVER_INCOMPLETE;
        snprintf(status.message, sizeof status.message, "%s has no function %s: it is no CUDA driver, or one older than 525", name, missing);
    }
    return status;
}

/// The first branch of drivers that speaks a version of CUDA, or 0.
static int branch_of(int cuda) {
    static const struct { int cuda, branch; } table[] = {
        {12000, 525}, {11080, 520}, {11070, 515}, {11060, 510}, {11050, 495}, {11040, 470}, {11030, 465}, {11020, 460}, {11010, 455},
        {11000, 450}, {10020, 440}, {10010, 418}, {10000, 410}, {9020, 396}, {9010, 390}, {9000, 384}, {8000, 367}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) if (cuda >= table[i].cuda) return table[i].branch;
    return 0;
}

static void fail_with(tk_cuda_status *status, const tk_cuda_driver *driver, const char *call, tk_cu_result result) {
    const char *name = NULL, *text = NULL;
    driver->error_name(result, &name);
    driver->error_string(result, &text);
    status->reason = result == TK_CU_NO_DEVICE ? TK_CUDA_NO_DEVICE : TK_CUDA_FAILED;
    if (result == TK_CU_NO_DEVICE) snprintf(status->message, sizeof status->message, "no device: the driver finds no GPU");
    else snprintf(status->message, sizeof status->message, "%s fails: %s (%s)", call, name ? name : "?", text ? text : "no description");
}

tk_cuda_status tk_cuda_start(const tk_cuda_driver *driver) {
    tk_cuda_status status = {0};
    // The version can be asked for before anything is started, and an old driver may not even start.
    if (driver->driver_version(&status.cuda_version) == TK_CU_SUCCESS && status.cuda_version > 0 && status.cuda_version < NEEDED_CUDA) {
        status.reason = TK_CUDA_DRIVER_TOO_OLD;
        snprintf(status.message, sizeof status.message, "driver %d is older than %d: it speaks CUDA %d.%d, and 12.0 is needed",
                 branch_of(status.cuda_version), branch_of(NEEDED_CUDA), status.cuda_version / 1000, status.cuda_version % 1000 / 10);
        return status;
    }
    tk_cu_result result = driver->init(0);
    if (result != TK_CU_SUCCESS) { fail_with(&status, driver, "cuInit", result); return status; }
    result = driver->device_count(&status.device_count);
    if (result != TK_CU_SUCCESS) { fail_with(&status, driver, "cuDeviceGetCount", result); return status; }
    int best = 0;
    for (int i = 0; i < status.device_count; i++) {
        tk_cu_device device;
        int major = 0, minor = 0;
        if (driver->device(&device, i) != TK_CU_SUCCESS) continue;
        driver->device_attribute(&major, TK_CU_CAPABILITY_MAJOR, device);
        driver->device_attribute(&minor, TK_CU_CAPABILITY_MINOR, device);
        if (10 * major + minor > best) best = 10 * major + minor;
    }
    if (status.device_count == 0) {
        status.reason = TK_CUDA_NO_DEVICE;
        snprintf(status.message, sizeof status.message, "no device: the driver finds no GPU");
    } else if (best < NEEDED_CAPABILITY) {
        status.reason = TK_CUDA_NO_DEVICE;
        snprintf(status.message, sizeof status.message, "no device: the newest GPU is sm_%d, and sm_%d is needed", best, NEEDED_CAPABILITY);
    }
    return status;
}
