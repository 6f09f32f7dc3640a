// The matrix product: tiles of registers over panels of weights. Included once per instruction set, as pointwise.h is.
#pragma once

#include "pointwise.h"

namespace WAVCODES_NAMESPACE {

using wavcodes::Product;
using wavcodes::Segment;

// Weights of one pass over the rows: they stay in the first-level cache while the rows go by.
static constexpr int pass_bytes = 24 << 10;
static constexpr int max_pieces = 72;
// With at most so many rows, most of a product's time its weights are on their way from memory: they are asked for
// little by little, so that sums go on meanwhile.
static constexpr int few_rows = 96;

struct Pass {
    Segment pieces[max_pieces];
    int num_pieces;
    const float *weights, *next;
    bool first, last;
};

static const float zeros[V::max_vectors * lanes] = {};

// `extra`: rows to add to the sums, or null. With few rows, each tile asks for its share of the weights of the next pass
// while it uses those of this one.
template <int R, int N, bool Few>
static inline void tile(const Product& p, const Pass& pass, int row, float* out, ptrdiff_t out_stride,
                        const float* extra = nullptr) {
    V acc[R][N];
    const float* before = p.scratch + ptrdiff_t(row) * N * lanes;
    const bool alone = pass.first || p.block;
    const float* start = pass.first ? p.bias : alone ? zeros : before;
    const ptrdiff_t start_stride = alone ? 0 : N * lanes;
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) acc[r][n] = load(start + r * start_stride + n * lanes);
    const float* w = pass.weights;
    const ptrdiff_t ahead = pass.next - pass.weights;
    const int turns = p.rows > R ? p.rows / R : 1;
    int turn = row / R + 1;
    for (int s = 0; s < pass.num_pieces; s++) {
        const Segment& piece = pass.pieces[s];
        const ptrdiff_t stride = piece.stride;
        const float* x = piece.x + row * stride;
        for (int r = 0; r < R; r++)  // the rows of the next tile
            for (int i = 0; i < piece.length; i += 16) prefetch(x + (R + r) * stride + i);
        for (int i = 0; i < piece.length; i++, w += N * lanes, x++) {
            V weights[N];
#pragma GCC unroll 4
            for (int n = 0; n < N; n++) weights[n] = load(w + n * lanes);
            if constexpr (Few)
                if (--turn == 0) {
                    turn = turns;
                    for (int j = 0; j < N * lanes; j += 16) prefetch_far(w + ahead + j);
                }
#pragma GCC unroll 16
            for (int r = 0; r < R; r++) {
                V value = set1(x[r * stride]);
#pragma GCC unroll 4
                for (int n = 0; n < N; n++) acc[r][n] = fma(value, weights[n], acc[r][n]);
            }
        }
    }
    if (alone && !pass.first) {
#pragma GCC unroll 16
        for (int r = 0; r < R; r++)
#pragma GCC unroll 4
            for (int n = 0; n < N; n++) acc[r][n] = add(load(before + (r * N + n) * lanes), acc[r][n]);
    }
    if (extra) {
#pragma GCC unroll 16
        for (int r = 0; r < R; r++)
#pragma GCC unroll 4
            for (int n = 0; n < N; n++) acc[r][n] = add(acc[r][n], load(extra + r * p.add_stride + n * lanes));
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) store(out + r * out_stride + n * lanes, acc[r][n]);
}

// Activates `rows` rows of a panel, which stand in the output.
static void activate_rows(const Product& p, int row, int rows) {
    with(p.function, [=, &p](auto function) {
        for (int r = 0; r < rows; r++) {
            float* out = p.out + (row + r) * p.out_stride;
            for (int j = 0; j < p.width; j += lanes) store(out + j, function(load(out + j), j));
        }
    });
}

// Adds, activates and writes `rows` rows of a panel whose sums stand elsewhere.
static void finish(const Product& p, int row, int rows, const float* x, ptrdiff_t x_stride) {
    // One reference instead of a copy of all that: called for a few rows at a time, that would be most of the work.
    const struct {
        const Product& product;
        int row, rows;
        const float* x;
        ptrdiff_t stride;
    } task{p, row, rows, x, x_stride};
    with(p.function, [&task](auto function) {
        const Product& p = task.product;
        const int width = p.width, rows = task.rows;
        const float *in = task.x, *extra = p.add ? p.add + task.row * p.add_stride : nullptr;
        float* out = p.out + task.row * p.out_stride;
        for (int r = 0; r < rows; r++, in += task.stride, out += p.out_stride) {
            each_vector(width, [&](size_t j, int n) {
                const V v = load(in + j);
                store(out + j, function(extra ? add(v, load(extra + j, n)) : v, j), n);
            });
            if (extra) extra += p.add_stride;
        }
    });
}

template <int R, int N, bool Few>
static inline void tiles(const Product& p, const Pass& pass, int& row) {
    const bool whole = p.width == N * lanes;
    for (; row + R <= p.rows; row += R) {
        if constexpr (!Few) {
            // A share of the weights of the next pass, which follow those of this one.
            constexpr int line = 16, lines = pass_bytes / int(sizeof(float)) / line;
            for (int i = lines * row / p.rows; i < lines * (row + R) / p.rows; i++) prefetch_far(pass.next + i * line);
        }
        // What is read and written at the end of this tile.
        if (pass.last)
            for (int r = 0; r < R; r++)
                for (int j = 0; j < p.width; j += 16) {
                    prefetch(p.out + (row + r) * p.out_stride + j);
                    if (p.add) prefetch(p.add + (row + r) * p.add_stride + j);
                }
        if (!pass.last) {
            tile<R, N, Few>(p, pass, row, p.scratch + ptrdiff_t(row) * N * lanes, N * lanes);
        } else if (whole) {
            float* out = p.out + row * p.out_stride;
            tile<R, N, Few>(p, pass, row, out, p.out_stride, p.add ? p.add + row * p.add_stride : nullptr);
            if (p.function.act != Act::none) activate_rows(p, row, R);
        } else {
            float buffer[R * N * lanes];
            tile<R, N, Few>(p, pass, row, buffer, N * lanes);
            finish(p, row, R, buffer, N * lanes);
        }
    }
}

template <int N, bool Few>
static void run_rows(const Product& p, const Pass& pass) {
    constexpr int R = V::max_vectors == 4 ? (N == 4 ? 6 : N == 3 ? 8 : N == 2 ? 12 : 16) : (N == 2 ? 6 : 12);
    int row = 0;
    tiles<R, N, Few>(p, pass, row);
    tiles<R / 2, N, Few>(p, pass, row);
    if constexpr (R / 4 > 1) tiles<R / 4, N, Few>(p, pass, row);
    tiles<1, N, Few>(p, pass, row);
}

template <int N>
static void run_pass(const Product& p, const Pass& pass) {
    if (p.rows <= few_rows)
        run_rows<N, true>(p, pass);
    else
        run_rows<N, false>(p, pass);
}

template <int N>
static void run_product(const Product& p) {
    int total = 0;
    for (int s = 0; s < p.num_segments; s++) total += p.segments[s].length;
    constexpr int most = pass_bytes / int(sizeof(float)) / (N * lanes);
    const int passes = total < most ? 1 : (total + most / 2) / most;
    const int budget = p.block ? p.block : (total + passes - 1) / passes;  // passes of equal length
    Pass pass;
    pass.first = true;
    pass.num_pieces = 0;
    pass.weights = p.weights;
    int used = 0;
    for (int s = 0; s < p.num_segments; s++) {
        int done = 0;
        while (done < p.segments[s].length) {
            int length = least(p.segments[s].length - done, budget - used);
            pass.pieces[pass.num_pieces++] = {p.segments[s].x + done, p.segments[s].stride, length};
            done += length;
            used += length;
            pass.last = s + 1 == p.num_segments && done == p.segments[s].length;
            if (used == budget || pass.num_pieces == max_pieces || pass.last) {
                pass.next = pass.weights + ptrdiff_t(used) * N * lanes;
                run_pass<N>(p, pass);
                pass.weights = pass.next;
                pass.first = false;
                pass.num_pieces = 0;
                used = 0;
            }
        }
    }
}

static void product(const Product& p) {
    switch (p.vectors) {
        case 1: return run_product<1>(p);
        case 2: return run_product<2>(p);
    }
    if constexpr (V::max_vectors == 4) {
        if (p.vectors == 3) return run_product<3>(p);
        if (p.vectors == 4) return run_product<4>(p);
    }
}

}  // namespace WAVCODES_NAMESPACE
