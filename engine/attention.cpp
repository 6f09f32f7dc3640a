#include "attention.h"

#include <cmath>

#include "threads.h"

namespace wavcodes {
namespace {

constexpr size_t group = Attend::group;
constexpr size_t rows_at_a_time = 256;  // the weights are read once for all of them

// Sine and cosine in float64 of operations that are the same on every machine; error below 1e-13 for |x| < 10^7.
void sine_cosine(double x, double* sine, double* cosine) {
    const double k = std::nearbyint(x * 0.63661977236758134308);
    // pi / 2 in two parts, the first short enough for k times it to be exact
    const double r = (x - k * 1.570796325802803) - k * 9.920935796805404e-10;
    const double u = r * r;
    double s = -1.0 / 1307674368000.0, c = -1.0 / 87178291200.0;
    for (double n : {6227020800.0, -39916800.0, 362880.0, -5040.0, 120.0, -6.0, 1.0}) s = s * u + 1 / n;
    for (double n : {479001600.0, -3628800.0, 40320.0, -720.0, 24.0, -2.0, 1.0}) c = c * u + 1 / n;
    s *= r;
    switch (int64_t(k) & 3) {
        case 0: *sine = s, *cosine = c; break;
        case 1: *sine = c, *cosine = -s; break;
        case 2: *sine = -s, *cosine = -c; break;
        default: *sine = -c, *cosine = s;
    }
}

void rotate(const float* x, const float* angles, int width, float scale, float* y, ptrdiff_t y_stride) {
    const int half = width / 2;
    for (int i = 0; i < half; i++) {
        const float a = x[i], b = x[half + i], c = angles[i], s = angles[half + i];
        y[i * y_stride] = (a * c - b * s) * scale;
        y[(half + i) * y_stride] = (b * c + a * s) * scale;
    }
}

size_t rounded_up(size_t n) { return (n + group - 1) / group * group; }

}  // namespace

Rotary::Rotary(int width) {
    // Repeated multiplication, unlike pow, is the same on every machine.
    double ratio = 1, rate = 1;
    for (double low = 0, high = 1; low < high;) {  // ratio^(width / 2) = 1 / 10000, by bisection
        ratio = low + (high - low) / 2;
        if (ratio <= low || ratio >= high) break;
        double power = 1;
        for (int i = 0; i < width / 2; i++) power *= ratio;
        (power < 1e-4 ? low : high) = ratio;
    }
    for (int i = 0; i < width / 2; i++, rate *= ratio) rates_.push_back(double(float(rate)));
}

void Rotary::angles(size_t position, float* out) const {
    for (size_t i = 0; i < rates_.size(); i++) {
        double sine, cosine;
        sine_cosine(double(position) * rates_[i], &sine, &cosine);
        out[i] = float(cosine);
        out[rates_.size() + i] = float(sine);
    }
}

// ---- LocalAttention ----------------------------------------------------------------------------------------------

LocalAttention::LocalAttention(const Kernels& kernels, int channels, int heads, int window, Tensor norm_weight,
                               Tensor norm_bias, Tensor qkv, Tensor out)
    : Layer(channels, channels),
      kernels_(kernels),
      heads_(heads),
      width_(channels / heads),
      window_(window),
      norm_(kernels, channels, norm_weight, norm_bias, 1e-5f),
      qkv_(Matrix::dense(kernels, channels, 3 * channels, qkv.data)),
      out_(Matrix::dense(kernels, channels, channels, out.data)),
      angles_(size_t(window) * width_) {
    const Rotary rotary(width_);
    for (int t = 0; t < window; t++) rotary.angles(t, angles_.data() + size_t(t) * width_);
    block = window;
    batch = limit = (rows_at_a_time + window - 1) / window * window;
}

size_t LocalAttention::ready(const State& state, const Rows& in) const {
    return state.finished ? in.size() : in.size() / window_ * window_;
}

// One head of one window: qkv (rows, 3 channels) to out (rows, channels).
void LocalAttention::attend(const float* qkv, size_t rows, int head, float* out) const {
    thread_local Floats room;
    const size_t stride = rounded_up(rows), row = 3 * size_t(in_channels);
    float* keys = room.room(width_ * stride + width_ + stride);
    float *query = keys + width_ * stride, *scratch = query + width_;
    std::fill_n(keys, width_ * stride, 0.0f);
    qkv += head * width_;
    for (size_t t = 0; t < rows; t++)
        rotate(qkv + t * row + in_channels, angles_.data() + t * width_, width_, 1.0f, keys + t, ptrdiff_t(stride));
    const float scale = 1 / std::sqrt(float(width_));
    for (size_t t = 0; t < rows; t++) {
        rotate(qkv + t * row, angles_.data() + t * width_, width_, scale, query, 1);
        kernels_.attend({query, keys, ptrdiff_t(stride), qkv + 2 * in_channels, ptrdiff_t(row), int(rows), width_, scratch,
                         out + t * in_channels + head * width_});
    }
}

void LocalAttention::run(State&, Rows& in, Rows& out, size_t steps, int threads) const {
    thread_local Floats room;
    const size_t channels = in_channels;
    float* normal = room.room(steps * 4 * channels);  // then what attention makes of it
    float* qkv = normal + steps * channels;
    const float* x = in.row(0);
    norm_.apply(x, steps, normal, threads);
    Segment rows{normal, ptrdiff_t(channels), int(channels)};
    qkv_.apply({&rows, 1}, 0, int(steps), {qkv, ptrdiff_t(3 * channels)}, threads);
    const size_t windows = (steps + window_ - 1) / window_;
    parallel(int(windows) * heads_, [&](int i) {
        const size_t first = size_t(i / heads_) * window_, last = std::min(steps, first + window_);
        attend(qkv + first * 3 * channels, last - first, i % heads_, normal + first * channels);
    }, threads);
    out_.apply({&rows, 1}, 0, int(steps),
               {out.append(steps), ptrdiff_t(channels), x, ptrdiff_t(channels)}, threads);
    in.drop(steps);
}

// ---- TransformerLayer --------------------------------------------------------------------------------------------

namespace {
struct TransformerState : State {
    Floats keys;      // [head][width][capacity, and a group]
    Floats values;    // [capacity][channels]
    size_t held = 0;  // rows of both
    size_t position = 0;
};
}  // namespace

TransformerLayer::TransformerLayer(const Kernels& kernels, int channels, int heads, int hidden, int context, float eps,
                                   const Weights& w)
    : Layer(channels, channels),
      kernels_(kernels),
      heads_(heads),
      width_(channels / heads),
      hidden_(hidden),
      context_(context),
      capacity_(rounded_up(context - 1 + rows_at_a_time)),
      norm1_(kernels, channels, w.norm1, w.norm1_bias, eps),
      norm2_(kernels, channels, w.norm2, w.norm2_bias, eps),
      qkv_(Matrix::dense(kernels, channels, 3 * channels, w.qkv.data)),
      out_(Matrix::dense(kernels, channels, channels, w.out.data, nullptr, w.scale1.data)),
      linear1_(Matrix::dense(kernels, channels, hidden, w.linear1.data)),
      linear2_(Matrix::dense(kernels, hidden, channels, w.linear2.data, nullptr, w.scale2.data)),
      rotary_(width_) {
    batch = limit = rows_at_a_time;
}

std::unique_ptr<State> TransformerLayer::start(Rows&, Origin) const {
    auto state = std::make_unique<TransformerState>();
    state->keys = Floats(size_t(in_channels) * (capacity_ + group));
    std::fill_n(state->keys.data(), state->keys.size(), 0.0f);
    state->values = Floats(capacity_ * in_channels);
    return state;
}

void TransformerLayer::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<TransformerState&>(s);
    const size_t channels = in_channels, stride = capacity_ + group;
    if (state.held + steps > capacity_) {  // forget what no later row sees
        const size_t keep = std::min(state.held, size_t(context_ - 1)), gone = state.held - keep;
        for (size_t i = 0; i < channels; i++) {
            float* keys = state.keys.data() + i * stride;
            std::memmove(keys, keys + gone, keep * sizeof(float));
        }
        std::memmove(state.values.data(), state.values.data() + gone * channels, keep * channels * sizeof(float));
        state.held = keep;
    }

    thread_local Floats room;
    float* normal = room.room(steps * (3 * channels + std::max(3 * channels, size_t(hidden_)) + width_));
    float *mixed = normal + steps * channels, *sum = mixed + steps * channels, *wide = sum + steps * channels;
    float* angles = wide + steps * std::max(3 * channels, size_t(hidden_));
    const float* x = in.row(0);
    norm1_.apply(x, steps, normal, threads);
    const Segment normals{normal, ptrdiff_t(channels), int(channels)};
    qkv_.apply({&normals, 1}, 0, int(steps), {wide, ptrdiff_t(3 * channels)}, threads);
    for (size_t t = 0; t < steps; t++) {
        rotary_.angles(state.position + t, angles + t * width_);
        std::memcpy(state.values.data() + (state.held + t) * channels, wide + t * 3 * channels + 2 * channels,
                    channels * sizeof(float));
    }
    parallel(heads_, [&](int head) {
        thread_local Floats own;
        float *query = own.room(width_ + rounded_up(context_)), *scratch = query + width_;
        float* keys = state.keys.data() + size_t(head) * width_ * stride;
        const float* qkv = wide + head * width_;
        for (size_t t = 0; t < steps; t++)
            rotate(qkv + t * 3 * channels + channels, angles + t * width_, width_, 1.0f, keys + state.held + t,
                   ptrdiff_t(stride));
        const float scale = 1 / std::sqrt(float(width_));
        for (size_t t = 0; t < steps; t++) {
            const size_t last = state.held + t, first = last + 1 - std::min(last + 1, size_t(context_));
            rotate(qkv + t * 3 * channels, angles + t * width_, width_, scale, query, 1);
            kernels_.attend({query, keys + first, ptrdiff_t(stride),
                             state.values.data() + first * channels + head * width_, ptrdiff_t(channels),
                             int(last + 1 - first), width_, scratch, mixed + t * channels + head * width_});
        }
    }, threads);
    state.held += steps;
    state.position += steps;

    const Segment mixture{mixed, ptrdiff_t(channels), int(channels)};
    out_.apply({&mixture, 1}, 0, int(steps), {sum, ptrdiff_t(channels), x, ptrdiff_t(channels)}, threads);
    norm2_.apply(sum, steps, normal, threads);
    linear1_.apply({&normals, 1}, 0, int(steps), {wide, hidden_, nullptr, 0, {Act::gelu}}, threads);
    const Segment hidden{wide, hidden_, hidden_};
    linear2_.apply({&hidden, 1}, 0, int(steps), {out.append(steps), ptrdiff_t(channels), sum, ptrdiff_t(channels)},
                   threads);
    in.drop(steps);
}

}  // namespace wavcodes
