#include "layers.h"

#include <stdexcept>

#include "threads.h"

namespace wavcodes {
namespace {

// Output values that one piece of a layer's work writes: small enough to stay in the second-level cache.
constexpr size_t piece_values = 48 << 10;
// Weights beyond this are worth waiting for many rows: they come from memory, once per batch.
constexpr size_t heavy_bytes = 1 << 20;
constexpr size_t heavy_batch = 288;
constexpr size_t tile_rows = 12;  // multiple of the rows of most register tiles

struct CountState : State {
    size_t rows = 0;  // taken from the input so far
};

// The tiles of a minimal filter are several rows each.
size_t batch_rows(const Filter& filter) {
    return wavcodes::batch_rows(filter.bytes()) * (filter.block() > 1 ? 2 : 1);
}

// -0.0 would make the sign of a sum of zeros depend on how many there are.
float bias_at(Tensor bias, int j) { return bias.data ? bias.data[j] + 0.0f : 0.0f; }

}  // namespace

size_t piece_rows(size_t values_per_row) {
    return std::max<size_t>(1, piece_values / values_per_row / tile_rows) * tile_rows;
}

size_t batch_rows(size_t bytes) { return bytes > heavy_bytes ? heavy_batch : 1; }

// ---- Conv --------------------------------------------------------------------------------------------------------

namespace {

constexpr size_t any_number = 0;  // of rows, as a multiple of all numbers

// A stride of half the kernel makes two taps of it.
Window window_of(const ConvShape& s) {
    const ptrdiff_t row = s.in, step = s.stride * row;
    if (s.kernel == 2 * s.stride && s.dilation == 1 && s.groups == 1) return {2, int(step), step, step};
    return {s.kernel, s.in / s.groups, s.dilation * row, step};
}

// Taps that a plan adds must not change what the padding is made of.
Minimal::Plan plan_of(const Kernels& kernels, const ConvShape& s, size_t together, int shortcut_channels) {
    if (s.groups > 1 || shortcut_channels) return {};
    // One that looks ahead waits anyway.
    const size_t rows = s.right > 0 ? any_number : together % s.stride ? 1 : together / s.stride;
    const Minimal::Plan plan = Filter::plan(kernels, window_of(s), s.out, rows);
    return s.padding == Padding::zeros || !Filter::added_taps(window_of(s), plan) ? plan : Minimal::Plan{};
}

// The same convolution, with the taps that its plan adds.
ConvShape extended(ConvShape s, const Minimal::Plan& plan) {
    const int added = Filter::added_taps(window_of(s), plan);
    s.kernel += added;
    s.left += added * s.dilation;
    return s;
}

}  // namespace

Conv::Conv(const Kernels& kernels, const ConvShape& shape, size_t together, Tensor weight, Tensor bias, Tensor shortcut,
           Tensor shortcut_bias, int shortcut_channels)
    : Conv(kernels, shape, plan_of(kernels, shape, together, shortcut_channels), weight, bias, shortcut, shortcut_bias,
           shortcut_channels) {}

Conv::Conv(const Kernels& kernels, const ConvShape& shape, const Minimal::Plan& plan, Tensor weight, Tensor bias,
           Tensor shortcut, Tensor shortcut_bias, int shortcut_channels)
    : Windowed(extended(shape, plan)), shortcut_channels_(shortcut_channels) {
    const int in = shape.in / shape.groups, out = shape.out / shape.groups, kernel = shape.kernel;
    const int own = kernel * in;
    std::vector<ColumnRange> ranges;
    for (int g = 0; g < shape.groups; g++) ranges.push_back({g * out, out, g * in});
    auto values = [&](int i, int first, int count, float* to) {
        const float* from = i < own ? weight.data + i % in * kernel + i / in : shortcut.data + i - own;
        const size_t step = i < own ? size_t(own) : shortcut_channels;
        for (int j = 0; j < count; j++) to[j] = from[(first + j) * step];
    };
    auto start = [&](int j) { return bias_at(bias, j) + bias_at(shortcut_bias, j); };
    filter_ = std::make_unique<Filter>(kernels, window_of(shape), plan, shortcut_channels, ranges, values, start);
    batch = batch_rows(*filter_);
    limit = std::max({batch, piece_rows(std::max(shape.out, shape.in * shape.stride)), filter_->block()});

    // A narrow output leaves most lanes empty. As a convolution of stride F it gives F rows at once; the weights
    // that this adds are zeros, which change no sum of float32 products.
    const int factor = kernels.bfloat16 ? 1 : 16 / shape.out;
    if (factor > 1 && shape.stride == 1 && shape.dilation == 1 && shape.groups == 1 && !shortcut_channels) {
        wide_rows_ = factor;
        wide_ = std::make_unique<Matrix>(
            kernels, (kernel + factor - 1) * in, std::vector<ColumnRange>{{0, factor * out, 0}},
            [&](int i, int j) {
                const int tap = i / in - j / out;
                return tap < 0 || tap >= kernel ? 0.0f : weight.data[(size_t(j % out) * in + i % in) * kernel + tap];
            },
            [&](int j) { return start(j % out); });
    }
}

size_t Conv::ready(const State& state, const Rows& in) const {
    const size_t rows = Windowed::ready(state, in);
    return state.finished ? rows : filter_->whole(position(state), rows);
}

void Conv::run_with(State& state, Rows& in, Rows& out, size_t steps, int threads, const float* skip) const {
    if (steps < ready(state, in)) steps = filter_->whole(position(state), steps);
    const float* x = window(state, in);
    const ConvShape& s = shape_;
    Matrix::Output output{out.append(steps), s.out, nullptr, 0, activation_.function()};
    if (skip && !shortcut_channels_) {
        output.add = skip;
        output.add_stride = s.out;
    }
    size_t done = 0;
    if (wide_ && !output.add && steps >= size_t(wide_rows_)) {
        const size_t rows = steps / wide_rows_;
        const Segment window{x, ptrdiff_t(wide_rows_) * s.in, (s.kernel + wide_rows_ - 1) * s.in};
        Matrix::Output wide = output;
        wide.stride = wide_rows_ * s.out;
        wide.function = wide_activation_.function();
        wide_->apply({&window, 1}, 0, int(rows), wide, threads);
        done = rows * wide_rows_;
        x += done * s.in;
        output.out += done * s.out;
    }
    if (done < steps) {
        const Segment shortcut{skip, shortcut_channels_, shortcut_channels_};
        filter_->run(x, position(state) + done, steps - done, output, threads, shortcut_channels_ ? &shortcut : nullptr);
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

namespace {

struct TransposeState : State {
    size_t first = 0;  // step of the signal that the stream begins with
    size_t steps = 0;  // done so far
};

}  // namespace

ConvTranspose::ConvTranspose(const Kernels& kernels, int in, int out, int kernel, int stride, int groups,
                             int trim_left, int trim_right, size_t together, Tensor weight, Tensor bias)
    : Fusing(in, out),
      taps_((kernel + stride - 1) / stride),
      stride_(stride),
      trim_left_(trim_left),
      tail_rows_(kernel - stride - trim_right) {
    const int in_group = in / groups, out_group = out / groups;
    std::vector<ColumnRange> ranges;
    if (groups == 1)
        ranges.push_back({0, stride * out, 0});
    else
        for (int j = 0; j < stride; j++)
            for (int g = 0; g < groups; g++) ranges.push_back({j * out + g * out_group, out_group, g * in_group});
    // (in, kernel, out / groups): what stands side by side in `weight` belongs to columns far apart.
    const Pages<float> turned(size_t(in) * kernel * out_group);
    for (int ic = 0; ic < in; ic++) {
        const size_t begin = size_t(ic) * kernel * out_group;
        for (int k = 0; k < kernel; k++)
            for (int oc = 0; oc < out_group; oc++)
                turned.data()[begin + k * out_group + oc] = weight.data[begin + oc * kernel + k];
    }
    // All columns from `first` on are of one group.
    auto values = [&](int i, int first, int count, float* to) {
        const int ic = first % out / out_group * in_group + i % in_group;
        int k = (taps_ - 1 - i / in_group) * stride + first / out;
        for (int oc = first % out_group; count > 0; oc = 0, k++) {
            const int run = std::min(count, out_group - oc);
            if (k < kernel)
                std::copy_n(turned.data() + (size_t(ic) * kernel + k) * out_group + oc, run, to);
            else
                std::fill_n(to, run, 0.0f);
            to += run;
            count -= run;
        }
    };
    const Window window{taps_, in_group, in, in};
    const size_t rows = trim_left > 0 ? any_number : together;
    Minimal::Plan plan = groups == 1 ? Filter::plan(kernels, window, stride * out, rows) : Minimal::Plan{};
    if (Filter::added_taps(window, plan)) plan = {};  // there is no more in front than the taps need
    filter_ = std::make_unique<Filter>(kernels, window, plan, 0, ranges, values,
                                       [&](int column) { return bias_at(bias, column % out); });
    batch = batch_rows(*filter_);
    limit = std::max({batch, piece_rows(size_t(stride) * out), filter_->block()});
    rows_ = stride;
    up = stride;
}

std::unique_ptr<State> ConvTranspose::start(Rows& in, Origin origin) const {
    in.append_zeros(taps_ - 1);
    auto state = std::make_unique<TransposeState>();
    state->first = origin.first_row;
    return state;
}

size_t ConvTranspose::ready(const State& s, const Rows& in) const {
    const auto& state = static_cast<const TransposeState&>(s);
    const size_t steps = in.size() < size_t(taps_) ? 0 : in.size() - taps_ + 1;
    return state.finished ? steps : filter_->whole(state.first + state.steps, steps);
}

void ConvTranspose::finish(State&, Rows& in) const { in.append_zeros((tail_rows_ + stride_ - 1) / stride_); }

void ConvTranspose::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<TransposeState&>(s);
    if (steps < ready(s, in)) steps = filter_->whole(state.first + state.steps, steps);
    const size_t begin = state.steps * stride_, trimmed = std::min(trim_left_ - std::min(trim_left_, begin), steps * stride_);
    auto compute = [&](size_t first, size_t count, float* y) {
        const Matrix::Output output{y, ptrdiff_t(stride_) * out_channels, nullptr, 0, activation_.function()};
        filter_->run(in.row(first), state.first + state.steps + first, count, output, threads);
    };
    // Steps whose rows are cut off, or some of them, go elsewhere first.
    const size_t cut = (trimmed + stride_ - 1) / stride_;
    if (cut) {
        Floats rows(cut * stride_ * out_channels);
        compute(0, cut, rows.data());
        const size_t kept = cut * stride_ - trimmed;
        if (kept) std::memcpy(out.append(kept), rows.data() + trimmed * out_channels, kept * out_channels * sizeof(float));
    }
    if (cut < steps) compute(cut, steps - cut, out.append((steps - cut) * stride_));
    state.steps += steps;
    in.drop(steps);
    if (state.finished && in.size() < size_t(taps_) && tail_rows_ % stride_) {
        const size_t all = state.steps * stride_, given = all - std::min(trim_left_, all);
        out.drop_last(std::min<size_t>(given, stride_ - tail_rows_ % stride_));
    }
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

void Residual::restart(std::unique_ptr<State>& s, Rows&) const {
    auto& state = static_cast<ResidualState&>(*s);
    body_->restart(state.body);
    last_->restart(state.last, state.body.queues.back());
    state.fed = 0;
    state.finished = false;
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
    bool gave = false;  // rows, after the end of the input
    bool ended() const {
        return std::all_of(branches.begin(), branches.end(), [](const auto& b) { return b.queues.back().ended; });
    }
    // Rows that all have.
    size_t common() const {
        size_t rows = SIZE_MAX;
        for (const Sequence::State& branch : branches) rows = std::min(rows, branch.queues.back().size());
        return rows;
    }
};
}  // namespace

Sum::Sum(std::vector<std::unique_ptr<Sequence>> branches)
    : Fusing(branches.front()->in_channels, branches.front()->out_channels()), branches_(std::move(branches)) {
    for (const auto& branch : branches_) batch = std::max(batch, branch->batch());
    limit = std::max(batch, piece_rows(in_channels));
}

std::unique_ptr<State> Sum::start(Rows&, Origin origin) const {
    auto state = std::make_unique<SumState>();
    for (const auto& branch : branches_) state->branches.push_back(branch->start(origin));
    return state;
}

void Sum::restart(std::unique_ptr<State>& s, Rows&) const {
    auto& state = static_cast<SumState&>(*s);
    for (size_t i = 0; i < branches_.size(); i++) branches_[i]->restart(state.branches[i]);
    state.gave = state.finished = false;
}

size_t Sum::needed(size_t rows) const {
    size_t most = rows;
    for (const auto& branch : branches_) most = std::max(most, branch->needed(rows));
    return most;
}

size_t Sum::ready(const State& s, const Rows& in) const {
    const auto& state = static_cast<const SumState&>(s);
    return in.size() + (state.finished && (!state.ended() || state.common()) ? 1 : 0);  // one more step, at the end
}

void Sum::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<SumState&>(s);
    const size_t count = std::min(steps, in.size());
    const bool end = state.finished && steps > in.size();
    for (size_t i = 0; i < branches_.size(); i++) {
        Sequence::State& branch = state.branches[i];
        if (count) branches_[i]->append(branch, in.row(0), count);
        branch.queues.front().ended = end;
        // At the end some give all of their rows, and those go on in pieces.
        branches_[i]->advance(branch, threads, [] {}, end ? limit : SIZE_MAX);
    }
    in.drop(count);
    const size_t given = state.common();
    state.gave |= end && given;
    // A branch may make rows out of an empty signal, and another none.
    if (end && (state.ended() ? state.gave : given == 0))
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
    if (!activation_.none())
        branches_.front()->kernels.activate(y, y, given, out_channels, activation_.function());
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
