// The kernels of `precision="bf16"` on AMX, the matrix unit of some x86-64 processors. The sums of a tile stay in its
// registers over all inputs; four tiles of them hide the time that one product takes.
#include <immintrin.h>

#include "bfloat16.h"

namespace wavcodes_amx {

using wavcodes::Bfloat16;
using wavcodes::Bfloat16Product;
using wavcodes::Bfloat16Split;
using wavcodes::Bfloat16Window;

static constexpr int block = Bfloat16Product::block, side = Bfloat16Product::tile, part = Bfloat16Product::part;
static constexpr int line = 64;  // bytes of a row of a tile

static inline __m512 load(const float* x, int n) {
    const __m512 v = _mm512_maskz_loadu_ps(n < 16 ? (1u << n) - 1 : 0xffff, x);
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(0x1p-48f), _CMP_NLT_UQ), v);
}

static inline __m512 rest(__m512 x, __m256i high) {
    return _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16)));
}

// The first n values of a block, the others being zero.
static inline void split_block(const float* x, int n, uint16_t* out, ptrdiff_t low) {
    const __m512 a = load(x, n), b = n > 16 ? load(x + 16, n - 16) : _mm512_setzero_ps();
    const __m512i high = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    _mm512_storeu_si512(out, high);
    const __m512 c = rest(a, _mm512_castsi512_si256(high)), d = rest(b, _mm512_extracti64x4_epi64(high, 1));
    _mm512_storeu_si512(out + low, (__m512i)_mm512_cvtne2ps_pbh(d, c));
}

static void split(const Bfloat16Split& s) {
    for (int t = 0; t < s.rows; t++) {
        const float* x = s.x + t * s.stride;
        uint16_t* out = s.out + t * block;
        int left = s.width;
        for (; left >= block; left -= block, x += block, out += s.next_block) split_block(x, block, out, s.low);
        if (left) split_block(x, left, out, s.low);
    }
}

// Registers 0 to 3: sums, two rows of two tiles; 4 and 5: inputs; 6 and 7: weights.
struct alignas(64) Configuration {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};

    // `first`, `second`: rows of the two tiles of rows; without rows there is no second one.
    Configuration(int first, int second) {
        for (int tile = 0; tile < 8; tile++) {
            const bool lower = tile == 2 || tile == 3 || tile == 5;
            rows[tile] = uint8_t(tile > 5 ? side : lower ? second : first);
            bytes[tile] = rows[tile] ? line : 0;
        }
    }
};

template <int R, int N>
static inline void multiply() {
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (N == 2) _tile_dpbf16ps(1, 4, 7);
    if constexpr (R == 2) _tile_dpbf16ps(2, 5, 6);
    if constexpr (R == 2 && N == 2) _tile_dpbf16ps(3, 5, 7);
}

// Sums that have still to be finished, which is done a few rows at a time while the matrix unit is at work.
struct Pending {
    const Bfloat16Product& product;
    int row = 0, rows = 0;
    const float* sums = nullptr;

    void finish(int most) {
        const int count = rows < most ? rows : most, stride = product.tiles * side;
        if (!count) return;
        product.finish(product.output, row, count, sums, stride);
        row += count, rows -= count, sums += count * stride;
    }
};

// What is done beside each step of a tile.
struct Beside {
    const char* next;  // weights to ask for
    int lines;         // of them
    int rows;          // to finish
};

// R tiles of rows by N tiles of columns.
template <int R, int N>
static inline void tiles(const Bfloat16Product& p, int row, float* sums, Beside beside, Pending& pending) {
    const float* bias = p.output.bias;
    _tile_loadd(0, bias, 0);
    if constexpr (N == 2) _tile_loadd(1, bias + side, 0);
    if constexpr (R == 2) _tile_loadd(2, bias, 0);
    if constexpr (R == 2 && N == 2) _tile_loadd(3, bias + side, 0);
    const uint16_t* weights = p.weights;
    for (int n = 0; n < p.num_windows; n++) {
        const Bfloat16Window& w = p.windows[n];
        const ptrdiff_t stride = w.step * ptrdiff_t(sizeof(uint16_t)), lower = side * w.step;
        for (int i = 0; i < w.blocks; i++) {
            const uint16_t* x = w.x + i * w.next_block + row * w.step;
            for (int k = 0; k < w.taps; k++, x += w.tap, weights += 2 * N * part) {
                for (int j = 0; j < beside.lines; j++, beside.next += line) _mm_prefetch(beside.next, _MM_HINT_T1);
                _tile_loadd(6, weights, line);
                if constexpr (N == 2) _tile_loadd(7, weights + part, line);
                _tile_loadd(4, x, stride);
                if constexpr (R == 2) _tile_loadd(5, x + lower, stride);
                multiply<R, N>();
                _tile_loadd(6, weights + N * part, line);
                if constexpr (N == 2) _tile_loadd(7, weights + (N + 1) * part, line);
                multiply<R, N>();
                _tile_loadd(4, x + p.low, stride);
                if constexpr (R == 2) _tile_loadd(5, x + p.low + lower, stride);
                multiply<R, N>();
                pending.finish(beside.rows);
            }
        }
    }
    pending.finish(2 * side);
    constexpr int stride = N * side * sizeof(float);
    _tile_stored(0, sums, stride);
    if constexpr (N == 2) _tile_stored(1, sums + side, stride);
    if constexpr (R == 2) _tile_stored(2, sums + side * N * side, stride);
    if constexpr (R == 2 && N == 2) _tile_stored(3, sums + side * N * side + side, stride);
    const int rows = p.output.rows - row;
    pending.row = row, pending.rows = rows < R * side ? rows : R * side, pending.sums = sums;
}

template <int N>
static void run(const Bfloat16Product& p) {
    constexpr int most = 2 * side;  // rows of tiles
    alignas(64) float sums[2][most * N * side];
    const Configuration whole(side, side);
    _tile_loadconfig(&whole);
    int steps = 0;
    for (int n = 0; n < p.num_windows; n++) steps += p.windows[n].blocks * p.windows[n].taps;
    // Every tile asks for a share of the weights of the next panel, which follow those of this one.
    constexpr int step_lines = 2 * N * part * int(sizeof(uint16_t)) / line;
    const int count = p.output.rows / most, lines = count ? (step_lines + count - 1) / count : 0;
    const char* next = reinterpret_cast<const char*>(p.weights + ptrdiff_t(steps) * 2 * N * part);
    Beside beside{next, lines, (most + steps - 1) / steps};
    Pending pending{p};
    int row = 0, turn = 0;
    for (; row + most <= p.output.rows; row += most, turn ^= 1) {
        tiles<2, N>(p, row, sums[turn], beside, pending);
        beside.next += ptrdiff_t(steps) * lines * line;
    }
    beside.lines = 0;
    if (const int rest = p.output.rows - row; rest > side) {
        const Configuration some(side, rest - side);
        _tile_loadconfig(&some);
        tiles<2, N>(p, row, sums[turn], beside, pending);
    } else if (rest > 0) {
        const Configuration some(rest, 0);
        _tile_loadconfig(&some);
        tiles<1, N>(p, row, sums[turn], beside, pending);
    }
    _tile_release();
    pending.finish(most);
}

static void product(const Bfloat16Product& p) { p.tiles == 2 ? run<2>(p) : run<1>(p); }

extern const Bfloat16 bfloat16;
const Bfloat16 bfloat16 = {split, product};

}  // namespace wavcodes_amx
