// The system's zlib: inflate and deflate of zip entries and gzip files, CRC-32.
#ifndef TAPESTRY_CZLIB_SHIM_H
#define TAPESTRY_CZLIB_SHIM_H

#if !__has_include(<zlib.h>)
#error "Tapestry needs zlib: apt-get install zlib1g-dev"
#else
#include <zlib.h>
#endif

#endif
