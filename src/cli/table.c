/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"

#define COLUMNS_MAX 12u

void put_cell(struct buf *text, const sarsen_value *value)
{
    if (sarsen_value_is_text(value)) {
        buf_puts(text, sarsen_value_text(value));
    } else if (sarsen_value_is_number(value)) {
        buf_printf(text, "%.10g", sarsen_value_number(value));
    } else if (sarsen_value_is_array(value)) {
        for (size_t i = 0; i < sarsen_value_size(value); i++) {
            if (i)
                buf_puts(text, ", ");
            put_cell(text, sarsen_value_at(value, i));
        }
    } else if (sarsen_value_size(value)) {
        for (size_t i = 0; i < sarsen_value_size(value); i++) {
            const char *name = sarsen_value_name(value, i);
            buf_printf(text, "%s%s=", i ? " " : "", name);
            put_cell(text, sarsen_value_get(value, name));
        }
    } else if (sarsen_value_is_true(value)) {
        buf_puts(text, "yes");
    }
}

/* Columns on a terminal: a UTF-8 continuation byte takes none. */
size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_row(char *const *cells, const size_t *widths, unsigned n_columns)
{
    for (unsigned c = 0; c < n_columns; c++) {
        const char *cell = *cells[c] ? cells[c] : "-";
        int pad = c + 1 < n_columns ? (int)(widths[c] - text_width(cell)) + 2 : 0;
        printf("%s%*s", cell, pad, "");
    }
    printf("\n");
}

void print_table(const sarsen_value *array, const struct column *columns, const char *empty)
{
    size_t n_rows = sarsen_value_size(array);
    if (!n_rows) {
        puts(empty);
        return;
    }

    unsigned n_columns = 0;
    size_t widths[COLUMNS_MAX];
    char *titles[COLUMNS_MAX];
    for (; n_columns < COLUMNS_MAX && columns[n_columns].title; n_columns++) {
        titles[n_columns] = mem_strdup(columns[n_columns].title);
        widths[n_columns] = strlen(titles[n_columns]);
    }
    char **cells = mem_new_array(char *, n_rows *n_columns);
    for (size_t i = 0; i < n_rows * n_columns; i++) {
        struct buf text = { 0 };
        const struct column *column = &columns[i % n_columns];
        const sarsen_value *row = sarsen_value_at(array, i / n_columns);
        if (column->put)
            column->put(&text, row);
        else
            put_cell(&text, sarsen_value_get(row, column->member));
        cells[i] = buf_take_text(&text);
        size_t width = text_width(cells[i]);
        if (width > widths[i % n_columns])
            widths[i % n_columns] = width;
    }

    print_row(titles, widths, n_columns);
    for (size_t row = 0; row < n_rows; row++)
        print_row(&cells[row * n_columns], widths, n_columns);
    for (size_t i = 0; i < n_rows * n_columns; i++)
        free(cells[i]);
    for (unsigned c = 0; c < n_columns; c++)
        free(titles[c]);
    free(cells);
}
