/* SPDX-License-Identifier: Apache-2.0 */
/* QR codes of public lines, by libqrencode. */
#include <errno.h>
#include <qrencode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/span.h"
#include "id.h"
#include "net/file.h"
#include "../say.h"

/* The standard wants a margin of four modules; where the terminal is too narrow for it two do with all readers tried.
 */
enum { MARGIN = 4, MARGIN_SMALL = 2, MODULE_PX = 4 };

/* Black and white of the fixed part of the palette: "black" and "white" themselves are what a theme makes of them. */
#define COLOURS_ON  "\033[38;5;16;48;5;231m"
#define COLOURS_OFF "\033[0m"

static QRcode *encode(const char *text)
{
    /* Low correction: screens and paper of people who compare are clean, and the code fits into 80 columns. */
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    if (code == NULL) {
        say("no QR code was made: %s.", errno == ERANGE ? "the identity is too long for one" : strerror(errno));
    }
    return code;
}

/* Dark? Outside of the code lies the margin, which is light. */
static bool is_dark(const QRcode *code, int x, int y)
{
    return x >= 0 && y >= 0 && x < code->width && y < code->width && (code->data[y * code->width + x] & 1) != 0;
}

static int columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : 80;
}

bool id_qr_print(const char *text)
{
    static const char *const halves[] = {" ", "\xE2\x96\x84", "\xE2\x96\x80", "\xE2\x96\x88"}; /* none, low, up, both */
    QRcode *code = encode(text);
    if (code == NULL) {
        return false;
    }
    bool colours = isatty(STDOUT_FILENO) != 0;
    int margin = colours && code->width + 2 * MARGIN > columns() ? MARGIN_SMALL : MARGIN;
    if (colours && code->width + 2 * margin > columns()) {
        say("the QR code needs %d columns and the terminal has %d: make it wider, or write it with --qr-svg.",
            code->width + 2 * margin, columns());
        QRcode_free(code);
        return false;
    }
    for (int y = -margin; y < code->width + margin; y += 2) {
        fputs(colours ? COLOURS_ON : "", stdout);
        for (int x = -margin; x < code->width + margin; x++) {
            fputs(halves[(is_dark(code, x, y) ? 2 : 0) + (is_dark(code, x, y + 1) ? 1 : 0)], stdout);
        }
        puts(colours ? COLOURS_OFF : "");
    }
    QRcode_free(code);
    return true;
}

static void put_svg(FILE *out, const QRcode *code)
{
    int size = code->width + 2 * MARGIN;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "shape-rendering=\"crispEdges\">\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n<path d=\"",
            size * MODULE_PX, size * MODULE_PX, size, size, size, size);
    for (int y = 0; y < code->width; y++) {
        for (int x = 0; x < code->width; x++) {
            if (is_dark(code, x, y)) {
                fprintf(out, "M%d %dh1v1h-1z", x + MARGIN, y + MARGIN);
            }
        }
    }
    fputs("\" fill=\"#000\"/>\n</svg>\n", out);
}

bool id_qr_svg(const char *text, const char *path)
{
    char *bytes = NULL;
    size_t len = 0;
    struct smq_why why;
    QRcode *code = encode(text);
    FILE *out = code != NULL ? open_memstream(&bytes, &len) : NULL;
    if (out == NULL) {
        if (code != NULL) {
            say("there is no memory for the QR code.");
        }
        QRcode_free(code);
        return false;
    }
    put_svg(out, code);
    QRcode_free(code);
    bool ok = fclose(out) == 0;
    if (!ok) {
        say("there is no memory for the QR code.");
    } else if (smq_file_write(path, smq_span_of(bytes, len), false, false, &why) != SMQTT_OK) {
        say("%s", why.text);
        ok = false;
    }
    free(bytes);
    return ok;
}
