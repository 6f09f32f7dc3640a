// One step of an LSTM. Included once per instruction set, as pointwise.h is.
#pragma once

#include "pointwise.h"

namespace WAVCODES_NAMESPACE {

using wavcodes::LstmStep;

// Bytes of a page of memory. A processor reads ahead by itself, but not from one page into the next.
static constexpr int page_bytes = 4096;

// `packed`: how many weights stand for the four gates of a unit. The weights are read once for R signals.
template <int R, class Weight, int packed>
static inline void lstm_signals(const LstmStep& s, const Weight* all, int block, int signal) {
    constexpr int line = 64 / int(sizeof(Weight)), group = packed * lanes;
    const ptrdiff_t width = ptrdiff_t(s.blocks) * lanes;
    const float* h = s.h + signal * width;
    V acc[R][4];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
        for (int g = 0; g < 4; g++) acc[r][g] = set1(0.0f);
    const Weight* weights = all + ptrdiff_t(block) * s.units * group;
    for (int i = 0; i < s.units; i++, weights += group) {
        V w[4];
        if (reinterpret_cast<uintptr_t>(weights) % page_bytes < group * sizeof(Weight))
            for (int j = 0; j < group; j += line) prefetch(weights + page_bytes / int(sizeof(Weight)) + j);
        if constexpr (packed == 3)
            unpack(weights, w);
        else
            for (int g = 0; g < 4; g++) w[g] = load_short(weights + g * lanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const V x = set1(h[r * width + i]);
            for (int g = 0; g < 4; g++) acc[r][g] = fma(x, w[g], acc[r][g]);
        }
    }
    const float* scales = s.scales + ptrdiff_t(block) * 4 * lanes;
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
        const ptrdiff_t unit = (signal + r) * width + ptrdiff_t(block) * lanes;
        V gate[4];
        for (int g = 0; g < 4; g++)
            gate[g] = fma(load(scales + g * lanes), acc[r][g], load(s.gates + 4 * unit + g * lanes));
        V c = fma(sigmoid(gate[1]), load(s.cell + unit), mul(sigmoid(gate[0]), tanh(gate[2])));
        store(s.cell + unit, c);
        store(s.out + unit, mul(sigmoid(gate[3]), tanh(c)));
    }
}

// R signals at a time, and then fewer.
template <int R, class Weight, int packed>
static inline void lstm_block(const LstmStep& s, const Weight* all, int block, int signal) {
    for (; signal + R <= s.signals; signal += R) lstm_signals<R, Weight, packed>(s, all, block, signal);
    if constexpr (R > 1) lstm_block<R - 1, Weight, packed>(s, all, block, signal);
}

static void lstm_step(const LstmStep& s) {
    constexpr int most = V::max_vectors == 4 ? 6 : 2;  // of whose four accumulators each the registers hold
    const int step = s.backwards ? -1 : 1;
    int block = s.backwards ? s.blocks - 1 : 0;
    for (int n = 0; n < s.blocks; n++, block += step) {
        for (int r = 0; r < s.signals; r++)
            for (int g = 0; g < 4; g++)
                prefetch(s.gates + ((ptrdiff_t(r) * s.blocks + block + step) * 4 + g) * lanes);
        if (s.weights)
            lstm_block<most, int32_t, 3>(s, s.weights, block, 0);
        else
            lstm_block<most, int16_t, 4>(s, s.shorts, block, 0);
    }
}

}  // namespace WAVCODES_NAMESPACE
