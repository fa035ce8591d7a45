#include "CImages.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    jmp_buf jump;
    char *message;
    const uint8_t *bytes;
    size_t count, place;
    uint8_t *out;
    size_t out_count, out_capacity;
} state;

static void on_error(png_structp png, png_const_charp text) {
    state *s = png_get_error_ptr(png);
    strncpy(s->message, text, TI_MESSAGE_SIZE - 1);
    s->message[TI_MESSAGE_SIZE - 1] = 0;
    longjmp(s->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void read_bytes(png_structp png, png_bytep target, size_t count) {
    state *s = png_get_io_ptr(png);
    if (count > s->count - s->place) png_error(png, "the file is cut off");
    memcpy(target, s->bytes + s->place, count);
    s->place += count;
}

// Reads as far as the header says how large the picture is. Called with the jump set.
static void read_header(png_structp png, png_infop info, state *s) {
    png_set_read_fn(png, s, read_bytes);
    // Sizes are checked by the caller; a chunk (text, profile) may not make the library allocate without bounds.
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
    png_set_chunk_cache_max(png, 128);
    png_set_chunk_malloc_max(png, 8 << 20);
    png_read_info(png, info);
}

static int channels_of(png_structp png, png_infop info) {
    const int type = png_get_color_type(png, info);
    const int has_alpha = (type & PNG_COLOR_MASK_ALPHA) != 0 || png_get_valid(png, info, PNG_INFO_tRNS);
    return ((type & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1) + has_alpha;
}

int ti_png_size(const uint8_t *bytes, size_t count, ti_size *size, char *message) {
    state s = {.message = message, .bytes = bytes, .count = count};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info || setjmp(s.jump)) {
        if (!info) strcpy(message, "no memory");
        png_destroy_read_struct(&png, &info, NULL);
        return -1;
    }
    read_header(png, info, &s);
    size->width = png_get_image_width(png, info);
    size->height = png_get_image_height(png, info);
    size->channels = channels_of(png, info);
    png_destroy_read_struct(&png, &info, NULL);
    return 0;
}

int ti_png_decode(const uint8_t *bytes, size_t count, const ti_size *size, uint8_t *pixels, char *message) {
    state s = {.message = message, .bytes = bytes, .count = count};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    png_bytepp volatile rows = NULL;
    if (!info || setjmp(s.jump)) {
        if (!info) strcpy(message, "no memory");
        free((void *)rows);
        png_destroy_read_struct(&png, &info, NULL);
        return -1;
    }
    read_header(png, info, &s);
    const int type = png_get_color_type(png, info);
    // Palettes, 1, 2, 4 and 16 bits become 8 bits.
    png_set_expand(png);
    png_set_scale_16(png);
    const int has_alpha = channels_of(png, info) % 2 == 0, wants_alpha = size->channels % 2 == 0;
    const int has_color = (type & PNG_COLOR_MASK_COLOR) != 0, wants_color = size->channels >= 3;
    if (has_alpha && !wants_alpha) png_set_strip_alpha(png);
    if (!has_alpha && wants_alpha) png_set_add_alpha(png, 0xff, PNG_FILLER_AFTER);
    if (wants_color && !has_color) png_set_gray_to_rgb(png);
    // The weights of ITU-R 601, as in JPEG and PIL.
    if (has_color && !wants_color) png_set_rgb_to_gray(png, PNG_ERROR_ACTION_NONE, 0.299, 0.587);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != (size_t)(size->width * size->channels)
        || png_get_image_height(png, info) != (size_t)size->height)
        png_error(png, "the size is not the one asked for");
    rows = malloc(sizeof(png_bytep) * (size_t)size->height);
    if (!rows) png_error(png, "no memory");
    for (int64_t y = 0; y < size->height; y++) rows[y] = pixels + y * size->width * size->channels;
    png_read_image(png, rows);
    png_read_end(png, NULL);
    free((void *)rows);
    png_destroy_read_struct(&png, &info, NULL);
    return 0;
}

static void write_bytes(png_structp png, png_bytep bytes, size_t count) {
    state *s = png_get_io_ptr(png);
    if (s->out_count + count > s->out_capacity) {
        const size_t capacity = (s->out_count + count) * 2;
        uint8_t *grown = realloc(s->out, capacity);
        if (!grown) png_error(png, "no memory");
        s->out = grown;
        s->out_capacity = capacity;
    }
    memcpy(s->out + s->out_count, bytes, count);
    s->out_count += count;
}

static void flush_bytes(png_structp png) { (void)png; }

int ti_png_encode(const uint8_t *pixels, const ti_size *size, uint8_t **encoded, size_t *count, char *message) {
    state s = {.message = message};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info || setjmp(s.jump)) {
        if (!info) strcpy(message, "no memory");
        free(s.out);
        png_destroy_write_struct(&png, &info);
        return -1;
    }
    static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    png_set_write_fn(png, &s, write_bytes, flush_bytes);
    png_set_IHDR(
        png, info, (png_uint_32)size->width, (png_uint_32)size->height, 8, types[size->channels], PNG_INTERLACE_NONE,
        PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int64_t y = 0; y < size->height; y++) png_write_row(png, pixels + y * size->width * size->channels);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    *encoded = s.out;
    *count = s.out_count;
    return 0;
}
