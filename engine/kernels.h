// The table of kernels: what one instruction set offers to the layers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wavcodes {

enum class Act { none, elu, leaky_relu, gelu, tanh, snake };

// A function of one value. That of Snake differs from channel to channel: `alpha` and its inverse have one value for
// each, and whole vectors can be read of them.
struct Pointwise {
    Act act = Act::none;
    float slope = 0;
    const float* alpha = nullptr;
    const float* inverse = nullptr;

    Pointwise from(ptrdiff_t channel) const {
        return alpha ? Pointwise{act, slope, alpha + channel, inverse + channel} : *this;
    }
};

// Rows of input that one panel of outputs reads: row t starts at x + t * stride and has `length` values.
struct Segment {
    const float* x;
    ptrdiff_t stride;
    int length;
};

// One panel of a matrix product over a window that slides along time:
//   out[t][j] = function(add[t][j] + (bias[j] + sum over segments s, over i: s.x[t * s.stride + i] * weights[..][j]))
// as one chain of fused multiply-adds that begins at the bias and runs through the segments in order; or, with a `block`,
// as such a chain for each block of so many weights, the first one from the bias on, whose sums are added up in order.
struct Product {
    const Segment* segments;
    int num_segments;
    const float* weights;  // [sum of lengths][vectors * lanes]
    const float* bias;     // [vectors * lanes]
    int vectors;  // 1 to Kernels::max_vectors
    int rows;
    float* out;
    ptrdiff_t out_stride;
    int width;         // columns of the panel that exist; at most vectors * lanes
    const float* add;  // same columns of rows to add, or null
    ptrdiff_t add_stride;
    Pointwise function;  // of the columns of this panel
    float* scratch;  // [rows][vectors * lanes], used where the window does not fit the cache
    int block = 0;
};

struct Depthwise {
    const float* x;  // first row of the window of output row 0
    int taps, dilation, stride;
    const float* weights;  // [taps][channels]
    const float* bias;     // [channels]
    int channels, rows;
    float* out;
    Pointwise function;
};

// One step of one LSTM layer, for each of several signals; its units stand in blocks of `lanes`.
struct LstmStep {
    int signals;
    const float* gates;      // [signal][block][4][lanes]: bias and input products
    const int32_t* weights;  // [block][units][3][lanes]: the four gates of a unit as `unpack` takes them; or null, and
    const int16_t* shorts;   // [block][units][4][lanes]
    const float* scales;     // [block][4][lanes]: what an integer of that column is worth
    const float* h;          // [signal][block][lanes], of the step before
    int units, blocks;
    float* cell;  // [signal][block][lanes], in and out
    float* out;   // [signal][block][lanes]
    bool backwards;  // visit the blocks last to first, so that what the caches still hold is read first
};

// One query of one head of attention over rows that are all visible:
//   out = sum over j of p[j] * values[j], p = softmax over j of (sum over d: query[d] * keys[d][j])
struct Attend {
    static constexpr int group = 64;  // keys are read in groups of so many
    static constexpr int unit = 16;   // and channels in groups of so many
    const float* query;               // [width], divided by sqrt(width)
    const float* keys;                // [width][count, rounded up to whole groups], rows `key_stride` apart
    ptrdiff_t key_stride;
    const float* values;  // [count][width], rows `value_stride` apart
    ptrdiff_t value_stride;
    int count, width;  // width: whole units
    float* scratch;    // [count, rounded up to whole groups]
    float* out;        // [width]
};

// Sums of rows with constant factors:
//   y[i] = function(add[i] + (bias + sum over j of matrix[i][j] * x[j])), rows of `width` values
struct Mix {
    const float* matrix;  // [outs][ins]
    int outs, ins;        // ins: 5, 6 or 7
    const float* x;
    ptrdiff_t x_stride;
    float* y;
    ptrdiff_t y_stride;
    int width;
    const float* bias;  // or null
    const float* add;   // or null
    ptrdiff_t add_stride;
    Pointwise function;
    ptrdiff_t y_next = 0, add_next = 0;  // from y and add to what is soon to be written and read
};

// What `precision="bf16"` has in place of `product` (bfloat16.h).
struct Bfloat16;

struct Kernels {
    const char* name;
    int lanes, max_vectors;
    void (*product)(const Product&);
    // The end of a product: adds and activates `rows` rows of sums from row `row` on; whole vectors of x can be read.
    void (*finish)(const Product&, int row, int rows, const float* x, ptrdiff_t x_stride);
    void (*mix)(const Mix&);
    void (*depthwise)(const Depthwise&);
    void (*activate)(const float* x, float* y, size_t rows, int channels, const Pointwise& function);
    // y = function(x + more)
    void (*add)(const float* x, const float* more, float* y, size_t rows, int channels, const Pointwise& function);
    void (*layer_norm)(const float* x, int rows, int channels, const float* weight, const float* bias, float eps,
                       float* y);
    // y[t][c] = function(x[t][c] * scale[c] + shift[c])
    void (*affine)(const float* x, size_t rows, int channels, const float* scale, const float* shift, float* y,
                   const Pointwise& function);
    // The sum of all values minus `center`, or of the squares of that: each channel is one chain in float32, and the
    // sums of the channels are added in float64 and in order.
    double (*sum)(const float* x, int rows, int channels, float center, bool squared);
    void (*lstm_step)(const LstmStep&);
    void (*attend)(const Attend&);
    // Gaussian numbers from uniform ones of 24 bits: sqrt(-2 log u) cos(2 pi v), u in (0, 1]. A multiple of 16 of them.
    void (*gaussian)(const float* u_mantissa, const float* u_exponent, const float* v, size_t n, float* out);
    int (*argmax)(const float* x, int n);  // the lowest index of the greatest value
    const Bfloat16* bfloat16;              // null: all is computed in float32
};

// The table that `name` asks for ("generic", "avx2", "avx512", "neon"); the best of this machine for "".
// With "-bf16" behind the name those of that precision: "amx-bf16", and the others compute the same bits slowly.
// Null if this machine or build does not have it.
const Kernels* find_kernels(const char* name);

}  // namespace wavcodes
