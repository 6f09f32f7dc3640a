// The table of kernels: what one instruction set offers to the layers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wavcodes {

enum class Act { none, elu, leaky_relu, gelu, tanh };

// Rows of input that one panel of outputs reads: row t starts at x + t * stride and has `length` values.
struct Segment {
    const float* x;
    ptrdiff_t stride;
    int length;
};

// One panel of a matrix product over a window that slides along time:
//   out[t][j] = act(add[t][j] + (bias[j] + sum over segments s, over i: s.x[t * s.stride + i] * weights[..][j]))
// as one chain of fused multiply-adds that begins at the bias and runs through the segments in order.
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
    Act act;
    float slope;
    float* scratch;  // [rows][vectors * lanes], used where the window does not fit the cache
};

struct Depthwise {
    const float* x;  // first row of the window of output row 0
    int taps, dilation, stride;
    const float* weights;  // [taps][channels]
    const float* bias;     // [channels]
    int channels, rows;
    float* out;
    Act act;
    float slope;
};

// One step of one LSTM layer; its units stand in blocks of 2 * lanes.
struct LstmStep {
    const float* gates;      // [block][2][4][lanes]: bias and input products
    const int32_t* weights;  // [block][units][2][3][lanes]: the four gates of a unit as `unpack` takes them
    const float* scales;     // [block][2][4][lanes]: what an integer of that column is worth
    const float* h;          // [units], of the step before
    int units;
    float* cell;  // [block][2 * lanes], in and out
    float* out;   // [block][2 * lanes]
    int blocks;
    bool backwards;  // visit the blocks last to first, so that what the caches still hold is read first
};

struct Kernels {
    const char* name;
    int lanes, max_vectors;
    void (*product)(const Product&);
    void (*depthwise)(const Depthwise&);
    void (*activate)(const float* x, float* y, size_t n, Act act, float slope);
    void (*layer_norm)(const float* x, int rows, int channels, const float* weight, const float* bias, float eps,
                       float* y);
    void (*lstm_step)(const LstmStep&);
    int (*argmax)(const float* x, int n);  // the lowest index of the greatest value
};

// The table that `name` asks for ("generic", "avx2", "avx512", "neon"); the best of this machine for "".
// Null if this machine or build does not have it.
const Kernels* find_kernels(const char* name);

}  // namespace wavcodes
