// Matrix products of `precision="bf16"`: float32 numbers in two parts of bfloat16 each, which is half the bits twice.
//
// A number is the sum of a high part, itself rounded to bfloat16, and a low part, what is left of it rounded again: 16 bits
// of its 24. A product of two numbers is that of their high parts and those of one high and one low part; that of the
// low parts is below the last bit. Three products in place of one, but AMX does sixteen times as many of them.
//
// The order of the sum is that of AMX's TDPBF16PS, so that other processors can give the same bits. Inputs are taken in
// blocks of 32 channels, of all taps, one block after the other. Each kind of product (high by low weight, high by high,
// low by high, in this order) adds
//     (chain of channels 0, 2, ... 30) + (chain of channels 1, 3, ... 31)
// to the sum, which begins at the bias; each chain begins at zero and is one of fused multiply-adds. AMX takes numbers
// below 2^-126 for zero, which no other processor does by itself. Here there are none: what is below 2^-48 is zero, so high
// parts are multiples of 2^-55, low ones of 2^-71, and all sums of 2^-126.
#pragma once

#include "kernels.h"

namespace wavcodes {

// Inputs in parts, as `Bfloat16::split` leaves them: [block of channels][row][channel], the high parts of all and, `low`
// values behind, the low ones. Output row t reads the rows t * step + k * tap for each tap k.
struct Bfloat16Window {
    const uint16_t* x;
    int blocks, taps;
    ptrdiff_t next_block, step, tap;  // in values
};

// One panel of a product: `output` says where the sums begin and what becomes of them, its other fields are not used.
struct Bfloat16Product {
    static constexpr int block = 32;         // channels
    static constexpr int tile = 16;          // columns or rows
    static constexpr int most_tiles = 2;     // of each that are computed at a time
    static constexpr int part = block * tile;
    const Bfloat16Window* windows;  // whose sum it is
    int num_windows;
    ptrdiff_t low;
    // [block][tap][low, high][tile of columns][pair of channels][column][channel of the pair]
    const uint16_t* weights;
    int tiles;  // of columns: 1 or 2
    const Product& output;
    void (*finish)(const Product&, int row, int rows, const float* x, ptrdiff_t x_stride);
};

// Rows [rows][width], `stride` apart.
struct Bfloat16Split {
    const float* x;
    ptrdiff_t stride;
    int rows, width;
    uint16_t* out;  // of the first row; the last block is filled up with zeros
    ptrdiff_t next_block, low;
};

struct Bfloat16 {
    void (*split)(const Bfloat16Split&);
    void (*product)(const Bfloat16Product&);
};

}  // namespace wavcodes
