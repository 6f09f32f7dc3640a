#include "layers.h"

#include <stdexcept>

#include "threads.h"

namespace wavcodes {
namespace {

// Output values that one piece of a layer's work writes: small enough to stay in the second-level cache.
constexpr size_t piece_values = 48 << 10;
// Weights beyond this are worth waiting for many rows: they come from memory, once per batch.
constexpr size_t heavy_bytes = 512 << 10;
constexpr size_t heavy_batch = 288;
constexpr size_t tile_rows = 12;  // multiple of the rows of most register tiles

size_t piece_rows(size_t values_per_row) {
    return std::max<size_t>(1, piece_values / values_per_row / tile_rows) * tile_rows;
}

size_t batch_rows(size_t bytes) { return bytes > heavy_bytes ? heavy_batch : 1; }

struct CountState : State {
    size_t rows = 0;  // taken from the input so far
};

// -0.0 would make the sign of a sum of zeros depend on how many there are.
float bias_at(Tensor bias, int j) { return bias.data ? bias.data[j] + 0.0f : 0.0f; }

}  // namespace

// ---- Conv --------------------------------------------------------------------------------------------------------

Conv::Conv(const Kernels& kernels, const ConvShape& shape, Tensor weight, Tensor bias, Tensor shortcut,
           Tensor shortcut_bias, int shortcut_channels)
    : Windowed(shape), shortcut_channels_(shortcut_channels) {
    const int in = shape.in / shape.groups, out = shape.out / shape.groups, kernel = shape.kernel;
    const int own = kernel * in;
    std::vector<ColumnRange> ranges;
    for (int g = 0; g < shape.groups; g++) ranges.push_back({g * out, out, g * in});
    auto value = [&](int i, int j) {
        return i < own ? weight.data[(size_t(j) * in + i % in) * kernel + i / in]
                       : shortcut.data[size_t(j) * shortcut_channels + i - own];
    };
    auto start = [&](int j) { return bias_at(bias, j) + bias_at(shortcut_bias, j); };
    limit = piece_rows(std::max(shape.out, shape.in * shape.stride));
    matrix_ = std::make_unique<Matrix>(kernels, own + shortcut_channels, ranges, value, start);
    batch = batch_rows(matrix_->bytes());
    limit = std::max(batch, limit);

    // A narrow output leaves most lanes empty. As a convolution of stride F it gives F rows at once; the weights
    // that this adds are zeros, which change no sum.
    const int factor = 16 / shape.out;
    if (factor > 1 && shape.stride == 1 && shape.dilation == 1 && shape.groups == 1 && !shortcut_channels) {
        wide_rows_ = factor;
        wide_ = std::make_unique<Matrix>(
            kernels, (kernel + factor - 1) * in, std::vector<ColumnRange>{{0, factor * out, 0}},
            [&](int i, int j) {
                const int tap = i / in - j / out;
                return tap < 0 || tap >= kernel ? 0.0f : value(tap * in + i % in, j % out);
            },
            [&](int j) { return start(j % out); });
    }
}

void Conv::run_with(State& state, Rows& in, Rows& out, size_t steps, int threads, const float* skip) const {
    const float* x = window(state, in);
    const ConvShape& s = shape_;
    const ptrdiff_t row = s.in;
    Matrix::Output output{out.append(steps), s.out, nullptr, 0, act_, slope_};
    if (skip && !shortcut_channels_) {
        output.add = skip;
        output.add_stride = s.out;
    }
    thread_local std::vector<Segment> segments;
    size_t done = 0;
    if (wide_ && !output.add && steps >= size_t(wide_rows_)) {
        const size_t rows = steps / wide_rows_;
        segments.assign(1, {x, wide_rows_ * row, (s.kernel + wide_rows_ - 1) * s.in});
        Matrix::Output wide = output;
        wide.stride = wide_rows_ * s.out;
        wide_->apply(segments, 0, int(rows), wide, threads);
        done = rows * wide_rows_;
        x += done * row;
        output.out += done * s.out;
    }
    if (done < steps) {
        segments.clear();
        if (s.dilation == 1 && s.groups == 1)
            segments.push_back({x, s.stride * row, s.kernel * s.in});
        else
            for (int k = 0; k < s.kernel; k++)
                segments.push_back({x + k * s.dilation * row, s.stride * row, s.in / s.groups});
        if (shortcut_channels_) segments.push_back({skip, shortcut_channels_, shortcut_channels_});
        matrix_->apply(segments, shortcut_channels_ ? 1 : 0, int(steps - done), output, threads);
    }
    if (wide_)  // the added zeros may have turned a sum of -0.0 to 0.0: make it 0.0 on both ways
        for (float* p = out.row(out.size() - steps); p < out.row(out.size()); p++) *p += 0.0f;
    move(state, in, steps);
}

// ---- DepthwiseConv -----------------------------------------------------------------------------------------------

DepthwiseConv::DepthwiseConv(const Kernels& kernels, const ConvShape& shape, Tensor weight, Tensor bias)
    : Windowed(shape), kernels_(kernels), weights_(size_t(shape.kernel) * shape.in), bias_(shape.in) {
    for (int c = 0; c < shape.in; c++) {
        bias_.data()[c] = bias_at(bias, c);
        for (int k = 0; k < shape.kernel; k++) weights_.data()[k * shape.in + c] = weight.data[c * shape.kernel + k];
    }
    limit = piece_rows(shape.in * shape.stride);
}

void DepthwiseConv::run(State& state, Rows& in, Rows& out, size_t steps, int threads) const {
    const float* x = window(state, in);
    const ConvShape& s = shape_;
    float* y = out.append(steps);
    const size_t parts = std::min<size_t>(threads, steps);
    parallel(int(parts), [&](int i) {
        const size_t first = steps * i / parts, last = steps * (i + 1) / parts;
        kernels_.depthwise({x + first * s.stride * s.in, s.kernel, s.dilation, s.stride, weights_.data(), bias_.data(),
                            s.in, int(last - first), y + first * s.in, act_, slope_});
    });
    move(state, in, steps);
}

// ---- ConvTranspose -----------------------------------------------------------------------------------------------

ConvTranspose::ConvTranspose(const Kernels& kernels, int in, int out, int kernel, int stride, int groups,
                             int trim_right, Tensor weight, Tensor bias)
    : Fusing(in, out),
      taps_((kernel + stride - 1) / stride),
      stride_(stride),
      groups_(groups),
      tail_rows_(kernel - stride - trim_right) {
    const int in_group = in / groups, out_group = out / groups;
    std::vector<ColumnRange> ranges;
    if (groups == 1)
        ranges.push_back({0, stride * out, 0});
    else
        for (int j = 0; j < stride; j++)
            for (int g = 0; g < groups; g++) ranges.push_back({j * out + g * out_group, out_group, g * in_group});
    auto value = [&](int i, int column) {
        const int oc = column % out, tap = taps_ - 1 - i / in_group, k = tap * stride + column / out;
        const int ic = oc / out_group * in_group + i % in_group;
        return k < kernel ? weight.data[(size_t(ic) * out_group + oc % out_group) * kernel + k] : 0.0f;
    };
    auto start = [&](int column) { return bias_at(bias, column % out); };
    matrix_ = std::make_unique<Matrix>(kernels, taps_ * in_group, ranges, value, start);
    batch = batch_rows(matrix_->bytes());
    limit = std::max(batch, piece_rows(size_t(stride) * out));
}

std::unique_ptr<State> ConvTranspose::start(Rows& in) const {
    in.append_zeros(taps_ - 1);
    return std::make_unique<CountState>();
}

size_t ConvTranspose::ready(const State&, const Rows& in) const {
    return in.size() < size_t(taps_) ? 0 : in.size() - taps_ + 1;
}

void ConvTranspose::finish(State&, Rows& in) const { in.append_zeros((tail_rows_ + stride_ - 1) / stride_); }

void ConvTranspose::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<CountState&>(s);
    const ptrdiff_t row = in_channels;
    const Matrix::Output output{out.append(steps * stride_), ptrdiff_t(stride_) * out_channels, nullptr, 0, act_, slope_};
    thread_local std::vector<Segment> segments;
    segments.clear();
    if (groups_ == 1)
        segments.push_back({in.row(0), row, taps_ * in_channels});
    else
        for (int k = 0; k < taps_; k++) segments.push_back({in.row(k), row, in_channels / groups_});
    matrix_->apply(segments, 0, int(steps), output, threads);
    state.rows += steps;
    in.drop(steps);
    if (state.finished && in.size() < size_t(taps_) && tail_rows_ % stride_) out.drop_last(stride_ - tail_rows_ % stride_);
}

// ---- Elementwise and normalisation -------------------------------------------------------------------------------

void Activation::run(State&, Rows& in, Rows& out, size_t steps, int) const {
    kernels_.activate(in.row(0), out.append(steps), steps * in_channels, act_, slope_);
    in.drop(steps);
}

LayerNorm::LayerNorm(const Kernels& kernels, int channels, Tensor weight, Tensor bias, float eps)
    : Layer(channels, channels), kernels_(kernels), weight_(channels), bias_(channels), eps_(eps) {
    std::copy_n(weight.data, channels, weight_.data());
    std::copy_n(bias.data, channels, bias_.data());
    limit = piece_rows(channels);
}

void LayerNorm::run(State&, Rows& in, Rows& out, size_t steps, int threads) const {
    const float* x = in.row(0);
    float* y = out.append(steps);
    const size_t parts = std::min<size_t>(threads, steps);
    parallel(int(parts), [&](int i) {
        const size_t first = steps * i / parts, last = steps * (i + 1) / parts;
        kernels_.layer_norm(x + first * in_channels, int(last - first), in_channels, weight_.data(), bias_.data(), eps_,
                            y + first * in_channels);
    });
    in.drop(steps);
}

// ---- Residual ----------------------------------------------------------------------------------------------------

namespace {
struct ResidualState : State {
    explicit ResidualState(Sequence::State body) : body(std::move(body)) {}
    Sequence::State body;
    std::unique_ptr<State> last;
    size_t fed = 0;  // rows of the input that the body has taken; they wait there for the sum
};
}  // namespace

Residual::Residual(std::unique_ptr<Sequence> body, std::unique_ptr<Conv> last)
    : Layer(body->in_channels, last->out_channels), body_(std::move(body)), last_(std::move(last)) {
    batch = std::max(body_->batch(), last_->batch);
    limit = std::max(batch, piece_rows(in_channels));
}

std::unique_ptr<State> Residual::start(Rows&) const {
    auto state = std::make_unique<ResidualState>(body_->start());
    state->last = last_->start(state->body.queues.back());
    return state;
}

size_t Residual::ready(const State& s, const Rows& in) const {
    const auto& state = static_cast<const ResidualState&>(s);
    return state.finished ? in.size() : in.size() - state.fed;
}

void Residual::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<ResidualState&>(s);
    Rows &first = state.body.queues.front(), &rest = state.body.queues.back();
    const size_t count = std::min(steps, in.size() - state.fed);
    if (count) body_->append(state.body, in.row(state.fed), count);
    state.fed += count;
    first.ended = state.finished && state.fed == in.size();
    body_->advance(state.body, threads);
    if (rest.ended && !state.last->finished) {
        last_->finish(*state.last, rest);
        state.last->finished = true;
    }
    const size_t rows = last_->ready(*state.last, rest);
    if (rows > state.fed || (rows == 0 && count == 0)) throw std::logic_error("the body of a residual layer must keep the length");
    if (rows) last_->run_with(*state.last, rest, out, rows, threads, in.row(0));
    in.drop(rows);
    state.fed -= rows;
}

// ---- The ends of a signal ----------------------------------------------------------------------------------------

std::unique_ptr<State> PadEnd::start(Rows&) const { return std::make_unique<CountState>(); }

void PadEnd::finish(State& s, Rows& in) const {
    const size_t total = static_cast<CountState&>(s).rows + in.size();
    in.append_zeros((multiple_ - total % multiple_) % multiple_ + extra_);
}

void PadEnd::run(State& s, Rows& in, Rows& out, size_t steps, int) const {
    static_cast<CountState&>(s).rows += steps;
    std::memcpy(out.append(steps), in.row(0), steps * in_channels * sizeof(float));
    in.drop(steps);
}

std::unique_ptr<State> TrimStart::start(Rows&) const { return std::make_unique<CountState>(); }

void TrimStart::run(State& s, Rows& in, Rows& out, size_t steps, int) const {
    auto& state = static_cast<CountState&>(s);
    const size_t drop = std::min(steps, rows_ - std::min(rows_, state.rows));
    state.rows += drop;
    const size_t kept = steps - drop;
    if (kept) std::memcpy(out.append(kept), in.row(drop), kept * in_channels * sizeof(float));
    in.drop(steps);
}

}  // namespace wavcodes
