// Convolutions, depthwise and transposed ones: as filters over windows of rows.
#include "layers.h"
#include "threads.h"

namespace wavcodes {
namespace {

// The tiles of a minimal filter are several rows each.
size_t batch_rows(const Filter& filter) {
    const size_t rows = wavcodes::batch_rows(filter.bytes());
    return rows > 1 && filter.block() > 1 ? 2 * rows : rows;
}

// -0.0 would make the sign of a sum of zeros depend on how many there are.
float bias_at(Tensor bias, int j) { return bias.data ? bias.data[j] + 0.0f : 0.0f; }

}  // namespace

// ---- Conv --------------------------------------------------------------------------------------------------------

namespace {

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
    const size_t rows = s.right > 0 ? Sequence::any_number : together % s.stride ? 1 : together / s.stride;
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
    block = filter_->block();
    limit = std::max({batch, piece_rows(std::max(shape.out, shape.in * shape.stride)), block});

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
    const size_t rows = trim_left > 0 ? Sequence::any_number : together;
    Minimal::Plan plan = groups == 1 ? Filter::plan(kernels, window, stride * out, rows) : Minimal::Plan{};
    if (Filter::added_taps(window, plan)) plan = {};  // there is no more in front than the taps need
    filter_ = std::make_unique<Filter>(kernels, window, plan, 0, ranges, values,
                                       [&](int column) { return bias_at(bias, column % out); });
    batch = batch_rows(*filter_);
    block = filter_->block();
    limit = std::max({batch, piece_rows(size_t(stride) * out), block});
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

}  // namespace wavcodes
