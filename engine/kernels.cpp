// The kernels, in terms of the vector type; compiled once per instruction set.
//
// Lanes lie across outputs and never across a sum, and every product is fused, so all builds give the same bits.
// Nothing of the standard library is used here: an inline function of it, compiled for AVX-512, could be the copy
// that the linker keeps for every machine.
#include "lstm_kernel.h"
#include "product_kernel.h"

namespace WAVCODES_NAMESPACE {

using wavcodes::Attend;
using wavcodes::Depthwise;
using wavcodes::Kernels;
using wavcodes::Mix;

static void activate(const float* x, float* y, size_t rows, int channels, const Pointwise& f) {
    with(f, [=, alike = !f.alpha](auto function) {
        each_vector(rows, channels, alike, [=](size_t i, int n, size_t c) { store(y + i, function(load(x + i, n), c), n); });
    });
}

static void add_rows(const float* x, const float* more, float* y, size_t rows, int channels, const Pointwise& f) {
    with(f, [=, alike = !f.alpha](auto function) {
        each_vector(rows, channels, alike, [=](size_t i, int n, size_t c) {
            store(y + i, function(add(load(x + i, n), load(more + i, n)), c), n);
        });
    });
}

// ---- mix ---------------------------------------------------------------------------------------------------------

template <int Ins, class Function>
static inline void mix_columns(const Mix& m, int c, int n, Function function) {
    V x[Ins];
#pragma GCC unroll 16
    for (int j = 0; j < Ins; j++) {
        const float* p = m.x + j * m.x_stride + c;
        x[j] = load(p, n);
    }
    V bias = m.bias ? load(m.bias + c) : set1(0.0f);
    for (int i = 0; i < m.outs; i++) {
        V sum = bias;
        const float* factors = m.matrix + i * Ins;
#pragma GCC unroll 16
        for (int j = 0; j < Ins; j++) sum = fma(set1(factors[j]), x[j], sum);
        if (m.add) {
            const float* p = m.add + i * m.add_stride + c;
            sum = add(sum, load(p, n));
            prefetch(p + m.add_next);
        }
        sum = function(sum, c);
        float* y = m.y + i * m.y_stride + c;
        prefetch_write(y + m.y_next);
        store(y, sum, n);
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
    const V bias = load(d.bias + c, n);
    V acc[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) acc[r] = bias;
    for (int k = 0; k < d.taps; k++, x += tap, w += d.channels) {
        const V weight = load(w, n);
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) acc[r] = fma(load(x + r * step, n), weight, acc[r]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) store(out + ptrdiff_t(r) * d.channels, function(acc[r], c), n);
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
            each_vector(channels, [&](size_t c, int k) {
                store(out + c, fma(mul(sub(load(in + c, k), m), s), load(weight + c, k), load(bias + c, k)), k);
            });
        }
    }
}

static void affine(const float* x, size_t rows, int channels, const float* scale, const float* shift, float* y,
                   const Pointwise& f) {
    // Rows of few channels are as well one long row, with what each channel has again and again.
    float scales[lanes] = {}, shifts[lanes] = {};
    const bool few = !f.alpha && lanes % channels == 0;
    for (int i = 0; few && i < lanes; i++) scales[i] = scale[i % channels], shifts[i] = shift[i % channels];
    with(f, [=](auto function) {
        const V factor = load(scales), term = load(shifts);
        each_vector(rows, channels, few, [=](size_t i, int n, size_t c) {
            const V v = fma(load(x + i, n), few ? factor : load(scale + c, n), few ? term : load(shift + c, n));
            store(y + i, function(v, c), n);
        });
    });
}

// Adds the sums of N vectors of channels, from channel c on: each is one chain, and N of them go on at a time.
template <int N>
static inline double sum_columns(const float* x, int rows, int channels, int c, V middle, bool squared, double total) {
    V chain[N];
    for (int n = 0; n < N; n++) chain[n] = set1(0.0f);
    const float* in = x + c;
    for (int t = 0; t < rows; t++, in += channels)
        for (int n = 0; n < N; n++) {
            const V d = sub(load(in + n * lanes), middle);
            chain[n] = add(chain[n], squared ? mul(d, d) : d);
        }
    float chains[N * lanes];
    for (int n = 0; n < N; n++) store(chains + n * lanes, chain[n]);
    for (int i = 0; i < N * lanes; i++) total += chains[i];
    return total;
}

static double sum(const float* x, int rows, int channels, float center, bool squared) {
    const V middle = set1(center);
    double total = 0;
    int c = 0;
    for (; c + 4 * lanes <= channels; c += 4 * lanes) total = sum_columns<4>(x, rows, channels, c, middle, squared, total);
    for (; c + 2 * lanes <= channels; c += 2 * lanes) total = sum_columns<2>(x, rows, channels, c, middle, squared, total);
    for (; c + lanes <= channels; c += lanes) total = sum_columns<1>(x, rows, channels, c, middle, squared, total);
    for (; c < channels; c++) {
        float chain = 0;
        for (int t = 0; t < rows; t++) {
            const float d = x[ptrdiff_t(t) * channels + c] - center;
            chain += squared ? d * d : d;
        }
        total += chain;
    }
    return total;
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
const Kernels kernels = {WAVCODES_NAME, lanes,      V::max_vectors, product, finish,    mix,    depthwise, activate,
                         add_rows,      layer_norm, affine,         sum,     lstm_step, attend, gaussian,  argmax,
                         nullptr};

}  // namespace WAVCODES_NAMESPACE
