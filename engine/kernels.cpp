// The kernels, in terms of the vector type; compiled once per instruction set.
//
// Lanes lie across outputs and never across a sum, and every product is fused, so all builds give the same bits.
// Nothing of the standard library is used here: an inline function of it, compiled for AVX-512, could be the copy
// that the linker keeps for every machine.
#include "kernels.h"

#include "functions.h"

namespace WAVCODES_NAMESPACE {

using wavcodes::Act;
using wavcodes::Attend;
using wavcodes::Depthwise;
using wavcodes::Kernels;
using wavcodes::LstmStep;
using wavcodes::Mix;
using wavcodes::Pointwise;
using wavcodes::Product;
using wavcodes::Segment;

static constexpr int lanes = V::lanes;
static inline int least(int a, int b) { return a < b ? a : b; }

// Calls body(function), where function(x, channel) takes a vector of the channels from `channel` on: the choice is made
// outside of the loops, and what is constant stays in registers.
template <class Body>
static inline void with(const Pointwise& f, Body body) {
    switch (f.act) {
        case Act::elu: return body([](V x, ptrdiff_t) { return elu(x); });
        case Act::leaky_relu: return body([slope = f.slope](V x, ptrdiff_t) { return leaky_relu(x, set1(slope)); });
        case Act::gelu: return body([](V x, ptrdiff_t) { return gelu(x); });
        case Act::tanh: return body([](V x, ptrdiff_t) { return tanh(x); });
        case Act::snake:
            return body([alpha = f.alpha, inverse = f.inverse](V x, ptrdiff_t channel) {
                return snake(x, load(alpha + channel), load(inverse + channel));
            });
        case Act::none: return body([](V x, ptrdiff_t) { return x; });
    }
}

static void activate(const float* x, float* y, size_t rows, int channels, const Pointwise& f) {
    // Where channels do not matter, all is one long row.
    const size_t count = f.alpha ? rows : 1, length = f.alpha ? size_t(channels) : rows * channels;
    with(f, [=](auto function) {
        const float* in = x;
        float* out = y;
        for (size_t t = 0; t < count; t++, in += length, out += length) {
            size_t i = 0;
            for (; i + lanes <= length; i += lanes) store(out + i, function(load(in + i), i));
            if (i < length) store_some(out + i, function(load_some(in + i, int(length - i)), i), int(length - i));
        }
    });
}

// ---- product -------------------------------------------------------------------------------------------------

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

// `extra`: rows to add to the sums, or null. With few rows, each tile asks for its share of the weights of the next pass
// while it uses those of this one.
template <int R, int N, bool Few>
static inline void tile(const Product& p, const Pass& pass, int row, float* out, ptrdiff_t out_stride,
                        const float* extra = nullptr) {
    V acc[R][N];
    const float* start = pass.first ? p.bias : p.scratch + ptrdiff_t(row) * N * lanes;
    const ptrdiff_t start_stride = pass.first ? 0 : N * lanes;
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
            int j = 0;
            for (; j + lanes <= width; j += lanes) {
                const V v = load(in + j);
                store(out + j, function(extra ? add(v, load(extra + j)) : v, j));
            }
            if (const int n = width - j; n > 0) {
                const V v = load(in + j);
                store_some(out + j, function(extra ? add(v, load_some(extra + j, n)) : v, j), n);
            }
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
    const int budget = (total + passes - 1) / passes;  // passes of equal length
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

// ---- mix ---------------------------------------------------------------------------------------------------------

template <int Ins, class Function>
static inline void mix_columns(const Mix& m, int c, int n, Function function) {
    V x[Ins];
#pragma GCC unroll 16
    for (int j = 0; j < Ins; j++) {
        const float* p = m.x + j * m.x_stride + c;
        x[j] = n == lanes ? load(p) : load_some(p, n);
    }
    V bias = m.bias ? load(m.bias + c) : set1(0.0f);
    for (int i = 0; i < m.outs; i++) {
        V sum = bias;
        const float* factors = m.matrix + i * Ins;
#pragma GCC unroll 16
        for (int j = 0; j < Ins; j++) sum = fma(set1(factors[j]), x[j], sum);
        if (m.add) {
            const float* p = m.add + i * m.add_stride + c;
            sum = add(sum, n == lanes ? load(p) : load_some(p, n));
            prefetch(p + m.add_next);
        }
        sum = function(sum, c);
        float* y = m.y + i * m.y_stride + c;
        prefetch_write(y + m.y_next);
        if (n == lanes)
            store(y, sum);
        else
            store_some(y, sum, n);
    }
}

template <int Ins>
static void mix_rows(const Mix& m) {
    with(m.function, [&m](auto function) {
        int c = 0;
        for (; c + lanes <= m.width; c += lanes) mix_columns<Ins>(m, c, lanes, function);
        if (c < m.width) mix_columns<Ins>(m, c, m.width - c, function);
    });
}

static void mix(const Mix& m) {
    switch (m.ins) {
        case 5: return mix_rows<5>(m);
        case 6: return mix_rows<6>(m);
        case 7: return mix_rows<7>(m);
    }
}

// ---- the rest --------------------------------------------------------------------------------------------------

// R rows of n channels side by side: each is a chain of sums that waits for itself.
template <int R, class Function>
static inline void depthwise_rows(const Depthwise& d, int t, int c, int n, Function function) {
    const ptrdiff_t tap = ptrdiff_t(d.dilation) * d.channels, step = ptrdiff_t(d.stride) * d.channels;
    const float *x = d.x + t * step + c, *w = d.weights + c;
    float* out = d.out + ptrdiff_t(t) * d.channels + c;
    const bool whole = n == lanes;
    const V bias = whole ? load(d.bias + c) : load_some(d.bias + c, n);
    V acc[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) acc[r] = bias;
    for (int k = 0; k < d.taps; k++, x += tap, w += d.channels) {
        const V weight = whole ? load(w) : load_some(w, n);
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) acc[r] = fma(whole ? load(x + r * step) : load_some(x + r * step, n), weight, acc[r]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
        const V y = function(acc[r], c);
        if (whole)
            store(out + ptrdiff_t(r) * d.channels, y);
        else
            store_some(out + ptrdiff_t(r) * d.channels, y, n);
    }
}

template <int R, class Function>
static inline void depthwise_block(const Depthwise& d, int t, Function function) {
    int c = 0;
    for (; c + lanes <= d.channels; c += lanes) depthwise_rows<R>(d, t, c, lanes, function);
    if (c < d.channels) depthwise_rows<R>(d, t, c, d.channels - c, function);
}

static void depthwise(const Depthwise& d) {
    with(d.function, [&d](auto function) {
        int t = 0;
        for (; t + 4 <= d.rows; t += 4) depthwise_block<4>(d, t, function);
        for (; t < d.rows; t++) depthwise_block<1>(d, t, function);
    });
}

// Lanes lie across rows for the two sums and across channels for the result.
static void layer_norm(const float* x, int rows, int channels, const float* weight, const float* bias, float eps,
                       float* y) {
    for (int t = 0; t < rows; t += lanes) {
        int n = least(lanes, rows - t);
        const float* block = x + ptrdiff_t(t) * channels;
        V sum = set1(0.0f), squares = set1(0.0f), count = set1(float(channels));
        for (int c = 0; c < channels; c++) sum = add(sum, gather(block + c, channels, n));
        V mean = div(sum, count);
        for (int c = 0; c < channels; c++) {
            V d = sub(gather(block + c, channels, n), mean);
            squares = fma(d, d, squares);
        }
        V inverse = div(set1(1.0f), sqrt(add(div(squares, count), set1(eps))));
        float means[lanes], inverses[lanes];
        store(means, mean);
        store(inverses, inverse);
        for (int r = 0; r < n; r++) {
            const float* in = block + ptrdiff_t(r) * channels;
            float* out = y + ptrdiff_t(t + r) * channels;
            V m = set1(means[r]), s = set1(inverses[r]);
            for (int c = 0; c < channels; c += lanes) {
                int k = least(lanes, channels - c);
                if (k == lanes)
                    store(out + c, fma(mul(sub(load(in + c), m), s), load(weight + c), load(bias + c)));
                else
                    store_some(out + c,
                               fma(mul(sub(load_some(in + c, k), m), s), load_some(weight + c, k),
                                   load_some(bias + c, k)),
                               k);
            }
        }
    }
}

static void affine(const float* x, size_t rows, int channels, const float* scale, const float* shift, float* y,
                   const Pointwise& f) {
    with(f, [=](auto function) {
        const float* in = x;
        float* out = y;
        for (size_t t = 0; t < rows; t++, in += channels, out += channels) {
            int c = 0;
            for (; c + lanes <= channels; c += lanes)
                store(out + c, function(fma(load(in + c), load(scale + c), load(shift + c)), c));
            if (const int n = channels - c)
                store_some(out + c, function(fma(load_some(in + c, n), load_some(scale + c, n), load_some(shift + c, n)), c), n);
        }
    });
}

// ---- attention ---------------------------------------------------------------------------------------------------

// Lanes lie across the keys for the scores and across the channels for the result; the sum of the weights is one more
// channel, whose values are all one.
static void attend(const Attend& a) {
    constexpr int group = Attend::group, ahead = group / lanes;
    float top = -3.0e38f;
    for (int j = 0; j < a.count; j += group) {
        V score[ahead];
        for (int n = 0; n < ahead; n++) score[n] = set1(0.0f);
        for (int d = 0; d < a.width; d++) {
            const float* key = a.keys + d * a.key_stride + j;
            V q = set1(a.query[d]);
            for (int n = 0; n < ahead; n++) score[n] = fma(q, load(key + n * lanes), score[n]);
        }
        for (int n = 0; n < ahead; n++) store(a.scratch + j + n * lanes, score[n]);
        for (int i = j; i < least(j + group, a.count); i++) top = a.scratch[i] > top ? a.scratch[i] : top;
    }
    for (int j = 0; j < a.count; j += lanes) store(a.scratch + j, exp(sub(load(a.scratch + j), set1(top))));
    for (int d = 0; d < a.width; d += Attend::unit) {
        constexpr int vectors = Attend::unit / lanes;
        V sum = set1(0.0f), acc[vectors];
        for (int n = 0; n < vectors; n++) acc[n] = set1(0.0f);
        const float* value = a.values + d;
        for (int j = 0; j < a.count; j++, value += a.value_stride) {
            V p = set1(a.scratch[j]);
            sum = add(sum, p);
            for (int n = 0; n < vectors; n++) acc[n] = fma(p, load(value + n * lanes), acc[n]);
        }
        for (int n = 0; n < vectors; n++) store(a.out + d + n * lanes, div(acc[n], sum));
    }
}

static void gaussian(const float* mantissa, const float* exponent, const float* v, size_t n, float* out) {
    const V one = set1(1.0f), minus_two = set1(-2.0f);
    for (size_t i = 0; i < n; i += lanes) {
        V log_u = fma(load(exponent + i), set1(0.693147182f), log_near_one(load(mantissa + i)));
        V cosine = fma(minus_two, sin_squared(mul(load(v + i), set1(3.14159274f))), one);
        store(out + i, mul(sqrt(max(mul(minus_two, log_u), set1(0.0f))), cosine));
    }
}

// How far ahead of its use a weight is asked for, in bytes: these weights are larger than the second-level cache.
static constexpr int lstm_ahead = 4096;

template <class Weight>
static inline void load_gates(const Weight* p, V w[8]) {
    if constexpr (sizeof(Weight) == sizeof(int16_t)) {
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++) w[g] = load_short(p + g * lanes);
    } else {
        unpack(p, w);
        unpack(p + 3 * lanes, w + 4);
    }
}

// A block takes `packed` weights for each unit.
template <class Weight, int packed>
static void lstm_block(const LstmStep& s, const Weight* all, int block) {
    constexpr int line = 64 / int(sizeof(Weight));
    V acc[8];
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) acc[g] = set1(0.0f);
    const Weight* weights = all + ptrdiff_t(block) * s.units * packed;
    for (int i = 0; i < s.units; i++, weights += packed) {
        V h = set1(s.h[i]), w[8];
        for (int j = 0; j < packed; j += line) prefetch(weights + lstm_ahead / int(sizeof(Weight)) + j);
        load_gates(weights, w);
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++) acc[g] = fma(h, w[g], acc[g]);
    }
    const ptrdiff_t first = ptrdiff_t(block) * 8 * lanes;
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++)
        acc[g] = fma(load(s.scales + first + g * lanes), acc[g], load(s.gates + first + g * lanes));
    for (int half = 0; half < 2; half++) {
        const ptrdiff_t unit = (ptrdiff_t(block) * 2 + half) * lanes;
        const V* gate = acc + 4 * half;
        V c = fma(sigmoid(gate[1]), load(s.cell + unit), mul(sigmoid(gate[0]), tanh(gate[2])));
        store(s.cell + unit, c);
        store(s.out + unit, mul(sigmoid(gate[3]), tanh(c)));
    }
}

static void lstm_step(const LstmStep& s) {
    const int step = s.backwards ? -1 : 1;
    int block = s.backwards ? s.blocks - 1 : 0;
    for (int n = 0; n < s.blocks; n++, block += step) {
        for (int g = 0; g < 8; g++) prefetch(s.gates + ptrdiff_t(block + step) * 8 * lanes + g * lanes);
        if (s.weights)
            lstm_block<int32_t, 6 * lanes>(s, s.weights, block);
        else
            lstm_block<int16_t, 8 * lanes>(s, s.shorts, block);
    }
}

static int argmax(const float* x, int n) {
    int best = 0;
    if (n >= lanes) {
        V top = load(x);
        float number[lanes], values[lanes];  // float32 holds every index below 2^24
        for (int i = 0; i < lanes; i++) number[i] = float(i);
        V index = load(number), at = index, step = set1(float(lanes));
        int i = lanes;
        for (; i + lanes <= n; i += lanes) {
            index = add(index, step);
            V v = load(x + i);
            at = select_less(top, v, index, at);
            top = select_less(top, v, v, top);
        }
        store(number, at);
        store(values, top);
        best = int(number[0]);
        for (int l = 1; l < lanes; l++)
            if (values[l] > x[best] || (values[l] == x[best] && number[l] < best)) best = int(number[l]);
        for (; i < n; i++)
            if (x[i] > x[best]) best = i;
        return best;
    }
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

extern const Kernels kernels;
const Kernels kernels = {WAVCODES_NAME, lanes,  V::max_vectors, product, finish,   mix,    depthwise, activate,
                         layer_norm,    affine, lstm_step,      attend,  gaussian, argmax, nullptr};

}  // namespace WAVCODES_NAMESPACE
