// The kernels of `precision="bf16"` without AMX: the same bits, for tests. Compiled once per instruction set, as
// kernels.cpp.
#include "bfloat16.h"
#include "vec.h"

namespace WAVCODES_NAMESPACE {

using wavcodes::Bfloat16;
using wavcodes::Bfloat16Product;
using wavcodes::Bfloat16Split;
using wavcodes::Bfloat16Window;

static constexpr int block = Bfloat16Product::block, side = Bfloat16Product::tile, part = Bfloat16Product::part;
static constexpr int lanes = V::lanes;
static constexpr int most_rows = 32;  // that unpacked weights serve

static inline float widened(uint16_t x) {
    const uint32_t bits = uint32_t(x) << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

static inline uint16_t rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void split(const Bfloat16Split& s) {
    for (int t = 0; t < s.rows; t++) {
        const float* row = s.x + t * s.stride;
        for (int i = 0; i < s.width || i % block; i++) {
            uint16_t* out = s.out + i / block * s.next_block + t * block + i % block;
            const float x = i < s.width && fabsf(row[i]) >= 0x1p-48f ? row[i] : 0.0f;
            out[0] = rounded(x);
            out[s.low] = rounded(x - widened(out[0]));
        }
    }
}

// Weights of one part of a block, [channel][column].
static void unpack_part(const uint16_t* packed, float* out) {
    for (int i = 0; i < block; i++)
        for (int j = 0; j < side; j++) out[i * side + j] = widened(packed[(i / 2 * side + j) * 2 + i % 2]);
}

// Adds to the sums of a tile's columns one part of a block of a row times one of the weights.
static inline void accumulate(const uint16_t* x, const float* weights, float* sums) {
    for (int j = 0; j < side; j += lanes) {
        V even = set1(0.0f), odd = set1(0.0f);
        for (int i = 0; i < block; i += 2) {
            even = fma(set1(widened(x[i])), load(weights + i * side + j), even);
            odd = fma(set1(widened(x[i + 1])), load(weights + (i + 1) * side + j), odd);
        }
        store(sums + j, add(load(sums + j), add(even, odd)));
    }
}

// A tile of columns for some rows.
static void tile(const Bfloat16Product& p, int column, int row, int rows, float* sums, int stride) {
    for (int r = 0; r < rows; r++) memcpy(sums + r * stride, p.output.bias + column * side, side * sizeof(float));
    const uint16_t* weights = p.weights + column * part;
    for (int n = 0; n < p.num_windows; n++) {
        const Bfloat16Window& w = p.windows[n];
        for (int i = 0; i < w.blocks * w.taps; i++, weights += 2 * p.tiles * part) {
            float low[part], high[part];
            unpack_part(weights, low);
            unpack_part(weights + p.tiles * part, high);
            for (int r = 0; r < rows; r++) {
                const uint16_t* x = w.x + i / w.taps * w.next_block + i % w.taps * w.tap + (row + r) * w.step;
                accumulate(x, low, sums + r * stride);
                accumulate(x, high, sums + r * stride);
                accumulate(x + p.low, high, sums + r * stride);
            }
        }
    }
}

static void product(const Bfloat16Product& p) {
    for (int row = 0; row < p.output.rows; row += most_rows) {
        const int rows = p.output.rows - row < most_rows ? p.output.rows - row : most_rows, stride = p.tiles * side;
        float sums[most_rows * Bfloat16Product::most_tiles * side];
        for (int column = 0; column < p.tiles; column++) tile(p, column, row, rows, sums + column * side, stride);
        p.finish(p.output, row, rows, sums, stride);
    }
}

extern const Bfloat16 bfloat16;
const Bfloat16 bfloat16 = {split, product};

}  // namespace WAVCODES_NAMESPACE
