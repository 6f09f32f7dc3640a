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

struct CountState : State {
    size_t rows = 0;  // taken from the input so far
};

// -0.0 would make the sign of a sum of zeros depend on how many there are.
float bias_at(Tensor bias, int j) { return bias.data ? bias.data[j] + 0.0f : 0.0f; }

}  // namespace

size_t piece_rows(size_t values_per_row) {
    return std::max<size_t>(1, piece_values / values_per_row / tile_rows) * tile_rows;
}

size_t batch_rows(size_t bytes) { return bytes > heavy_bytes ? heavy_batch : 1; }

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
    Matrix::Output output{out.append(steps), s.out, nullptr, 0, activation_.function()};
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
        wide.function = wide_activation_.function();
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
                            s.in, int(last - first), y + first * s.in, activation_.function()});
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
    rows_ = stride;
    up = stride;
}

std::unique_ptr<State> ConvTranspose::start(Rows& in, Origin) const {
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
    const Matrix::Output output{out.append(steps * stride_), ptrdiff_t(stride_) * out_channels, nullptr, 0,
                                activation_.function()};
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

// ---- Activations -------------------------------------------------------------------------------------------------

Activation::Activation(const std::vector<float>& alpha) : alpha_(alpha) {
    const size_t padded = alpha.size() + 16;  // so that whole vectors can be read from any channel on
    parameters_ = std::make_shared<Floats>(2 * padded);
    float* p = parameters_->data();
    std::fill_n(p, 2 * padded, 0.0f);
    for (size_t i = 0; i < alpha.size(); i++) {
        p[i] = alpha[i];
        p[padded + i] = 1.0f / (alpha[i] + 1e-9f);
    }
    function_ = {Act::snake, 0, p, p + padded};
}

Activation Activation::repeated(int times) const {
    if (alpha_.empty() || times == 1) return *this;
    std::vector<float> all;
    for (int i = 0; i < times; i++) all.insert(all.end(), alpha_.begin(), alpha_.end());
    return Activation(all);
}

void Elementwise::run(State&, Rows& in, Rows& out, size_t steps, int) const {
    kernels_.activate(in.row(0), out.append(steps), steps, in_channels, activation_.function());
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

std::unique_ptr<State> Residual::start(Rows&, Origin origin) const {
    auto state = std::make_unique<ResidualState>(body_->start(origin));
    state->last = last_->start(state->body.queues.back(), origin);
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

// ---- Sum ---------------------------------------------------------------------------------------------------------

namespace {
struct SumState : State {
    std::vector<Sequence::State> branches;
    bool ended() const { return branches.front().queues.front().ended; }
};
}  // namespace

Sum::Sum(std::vector<std::unique_ptr<Sequence>> branches)
    : Layer(branches.front()->in_channels, branches.front()->out_channels()), branches_(std::move(branches)) {
    for (const auto& branch : branches_) batch = std::max(batch, branch->batch());
    limit = std::max(batch, piece_rows(in_channels));
}

std::unique_ptr<State> Sum::start(Rows&, Origin origin) const {
    auto state = std::make_unique<SumState>();
    for (const auto& branch : branches_) state->branches.push_back(branch->start(origin));
    return state;
}

size_t Sum::ready(const State& s, const Rows& in) const {
    const auto& state = static_cast<const SumState&>(s);
    return in.size() + (state.finished && !state.ended() ? 1 : 0);  // one more step, that of the end
}

void Sum::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<SumState&>(s);
    const size_t count = std::min(steps, in.size());
    const bool end = state.finished && steps > in.size();
    size_t given = SIZE_MAX;
    for (size_t i = 0; i < branches_.size(); i++) {
        Sequence::State& branch = state.branches[i];
        if (count) branches_[i]->append(branch, in.row(0), count);
        branch.queues.front().ended = end;
        branches_[i]->advance(branch, threads);
        given = std::min(given, branch.queues.back().size());
    }
    in.drop(count);
    // A branch may make rows out of an empty signal, and another none.
    if (end && given)
        for (const Sequence::State& branch : state.branches)
            if (branch.queues.back().size() != given)
                throw std::logic_error("the branches of a sum must give equally many rows");
    float* y = out.append(given);
    for (size_t i = 0; i < branches_.size(); i++) {
        Rows& rows = state.branches[i].queues.back();
        const float* x = rows.row(0);
        for (size_t j = 0; j < given * out_channels; j++) y[j] = i ? y[j] + x[j] : x[j];
        rows.drop(given);
    }
}

// ---- The ends of a signal ----------------------------------------------------------------------------------------

std::unique_ptr<State> PadEnd::start(Rows&, Origin) const { return std::make_unique<CountState>(); }

void PadEnd::finish(State& s, Rows& in) const {
    const size_t total = static_cast<CountState&>(s).rows + in.size();
    in.append_zeros((multiple_ - total % multiple_) % multiple_ + extra_);
}

void PadEnd::run(State& s, Rows& in, Rows& out, size_t steps, int) const {
    static_cast<CountState&>(s).rows += steps;
    std::memcpy(out.append(steps), in.row(0), steps * in_channels * sizeof(float));
    in.drop(steps);
}

void TrimEnd::run(State&, Rows& in, Rows& out, size_t steps, int) const {
    std::memcpy(out.append(steps), in.row(0), steps * in_channels * sizeof(float));
    in.drop(steps);
}

std::unique_ptr<State> TrimStart::start(Rows&, Origin) const { return std::make_unique<CountState>(); }

void TrimStart::run(State& s, Rows& in, Rows& out, size_t steps, int) const {
    auto& state = static_cast<CountState&>(s);
    const size_t drop = std::min(steps, rows_ - std::min(rows_, state.rows));
    state.rows += drop;
    const size_t kept = steps - drop;
    if (kept) std::memcpy(out.append(kept), in.row(drop), kept * in_channels * sizeof(float));
    in.drop(steps);
}

}  // namespace wavcodes
