#include "CImages.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

typedef struct {
    struct jpeg_error_mgr manager;
    jmp_buf jump;
    char *message;
} errors;

static void on_error(j_common_ptr info) {
    errors *e = (errors *)info->err;
    char text[JMSG_LENGTH_MAX];
    e->manager.format_message(info, text);
    strncpy(e->message, text, TI_MESSAGE_SIZE - 1);
    e->message[TI_MESSAGE_SIZE - 1] = 0;
    longjmp(e->jump, 1);
}

// Warnings (level -1) are data that does not decode as it should: a file cut off, damaged blocks. They are errors here.
static void on_message(j_common_ptr info, int level) {
    if (level < 0) on_error(info);
}

static void no_output(j_common_ptr info) { (void)info; }

static struct jpeg_error_mgr *prepare(errors *e, char *message) {
    struct jpeg_error_mgr *manager = jpeg_std_error(&e->manager);
    manager->error_exit = on_error;
    manager->emit_message = on_message;
    manager->output_message = no_output;
    e->message = message;
    return manager;
}

int ti_jpeg_size(const uint8_t *bytes, size_t count, ti_size *size, char *message) {
    struct jpeg_decompress_struct info;
    errors e;
    memset(&info, 0, sizeof info);
    info.err = prepare(&e, message);
    if (setjmp(e.jump)) {
        jpeg_destroy_decompress(&info);
        return -1;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes, (unsigned long)count);
    jpeg_read_header(&info, TRUE);
    size->width = info.image_width;
    size->height = info.image_height;
    size->channels = info.num_components == 1 ? 1 : 3;
    jpeg_destroy_decompress(&info);
    return 0;
}

int ti_jpeg_decode(const uint8_t *bytes, size_t count, const ti_size *size, uint8_t *pixels, char *message) {
    struct jpeg_decompress_struct info;
    errors e;
    memset(&info, 0, sizeof info);
    info.err = prepare(&e, message);
    if (setjmp(e.jump)) {
        jpeg_destroy_decompress(&info);
        return -1;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes, (unsigned long)count);
    jpeg_read_header(&info, TRUE);
    if (info.num_components != 1 && info.num_components != 3) {
        strcpy(message, "pictures of four inks are not read");
        jpeg_destroy_decompress(&info);
        return -1;
    }
    info.out_color_space = size->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info);
    if (info.output_width != size->width || info.output_height != size->height || info.output_components != size->channels) {
        strcpy(message, "the size is not the one asked for");
        jpeg_destroy_decompress(&info);
        return -1;
    }
    while (info.output_scanline < info.output_height) {
        JSAMPROW row = pixels + (size_t)info.output_scanline * (size_t)size->width * (size_t)size->channels;
        jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    return 0;
}

int ti_jpeg_encode(
    const uint8_t *pixels, const ti_size *size, int quality, uint8_t **encoded, size_t *count, char *message) {
    struct jpeg_compress_struct info;
    errors e;
    memset(&info, 0, sizeof info);
    info.err = prepare(&e, message);
    unsigned char *place = NULL;
    unsigned long length = 0;
    if (setjmp(e.jump)) {
        jpeg_destroy_compress(&info);
        return -1;
    }
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &place, &length);
    info.image_width = (JDIMENSION)size->width;
    info.image_height = (JDIMENSION)size->height;
    info.input_components = size->channels;
    info.in_color_space = size->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = (JSAMPROW)(pixels + (size_t)info.next_scanline * (size_t)size->width * (size_t)size->channels);
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    *encoded = place;
    *count = length;
    return 0;
}
