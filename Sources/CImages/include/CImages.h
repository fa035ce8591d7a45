// PNG and JPEG through the system's libpng and libjpeg-turbo. Their errors are long jumps, which Swift cannot have, so they end here.
#ifndef TAPESTRY_CIMAGES_H
#define TAPESTRY_CIMAGES_H

#include <stddef.h>
#include <stdint.h>

#if !__has_include(<png.h>) || !__has_include(<jpeglib.h>)
#error "Tapestry needs libpng and libjpeg: apt-get install libpng-dev libjpeg-dev"
#endif

typedef struct {
    int64_t width, height;
    // 1 grey, 2 grey and alpha, 3 red, green, blue, 4 the same and alpha.
    int32_t channels;
} ti_size;

enum { TI_MESSAGE_SIZE = 256 };

// The size in the file's header, before anything is decoded. 0, or -1 and what is wrong in `message`.
int ti_png_size(const uint8_t *bytes, size_t count, ti_size *size, char *message);
int ti_jpeg_size(const uint8_t *bytes, size_t count, ti_size *size, char *message);

// Decodes to bytes [height, width, channels] of the size that ti_..._size gave, or another number of channels: the libraries convert.
int ti_png_decode(const uint8_t *bytes, size_t count, const ti_size *size, uint8_t *pixels, char *message);
int ti_jpeg_decode(const uint8_t *bytes, size_t count, const ti_size *size, uint8_t *pixels, char *message);

// Encodes bytes [height, width, channels]; `*encoded` is to be freed. JPEG has 1 or 3 channels, and a quality in 1 ... 100.
int ti_png_encode(const uint8_t *pixels, const ti_size *size, uint8_t **encoded, size_t *count, char *message);
int ti_jpeg_encode(
    const uint8_t *pixels, const ti_size *size, int quality, uint8_t **encoded, size_t *count, char *message);

#endif
